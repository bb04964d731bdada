"""The load is put on an edge that has something to browse, and what answers otherwise is said."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cli import load, tree
from stack.errors import ServerUnavailable

Answers = dict[str, tuple[int, bytes]]


@contextlib.contextmanager
def other_server(answers: Answers) -> Iterator[str]:
    """Any web server: answers by the beginning of the path, else 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = next(
                (answer for start, answer in answers.items() if self.path.startswith(start)), (404, b"<p>no</p>")
            )
            self.send_response(found[0])
            self.send_header("Content-Length", str(len(found[1])))
            self.end_headers()
            self.wfile.write(found[1])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_address_where_nobody_listens_is_said_at_once(free_port: int) -> None:
    with pytest.raises(ServerUnavailable, match="Connection refused"):
        load.run(tree.parse(["load", "--host", f"http://127.0.0.1:{free_port}"]))


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({}, "404"),
        ({"/api/v1/parts": (200, b"<html>")}, "did not respond as an edge"),
        ({"/api/v1/parts": (200, b"[]")}, "did not respond as an edge"),
    ],
)
def test_what_is_no_edge_is_said_at_once(answers: Answers, said: str) -> None:
    """A server that answered 404 to everything was reported as a load without a failure."""
    with other_server(answers) as host, pytest.raises(ServerUnavailable, match=said):
        load.run(tree.parse(["load", "--host", host]))


def test_an_empty_catalogue_is_no_load() -> None:
    with other_server({"/api/v1/parts": (200, b'{"items": []}')}) as host, pytest.raises(load.NothingToBrowse):
        load.run(tree.parse(["load", "--host", host]))
