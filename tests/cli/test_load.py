"""A load needs an edge with parts; any other server is reported."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cli import load, tree
from stack.errors import ServerUnavailable

Responses = dict[str, tuple[int, bytes]]


@contextlib.contextmanager
def other_server(responses: Responses) -> Iterator[str]:
    """Run a web server that responds by the prefix of the path, else with 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = next(
                (response for start, response in responses.items() if self.path.startswith(start)), (404, b"<p>no</p>")
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


def test_an_address_without_a_server_is_reported(free_port: int) -> None:
    with pytest.raises(ServerUnavailable, match="Connection refused"):
        load.run(tree.parse(["load", "--host", f"http://127.0.0.1:{free_port}"]))


@pytest.mark.parametrize(
    ("responses", "expected"),
    [
        ({}, "404"),
        ({"/api/v1/parts": (200, b"<html>")}, "does not respond like an edge"),
        ({"/api/v1/parts": (200, b"[]")}, "does not respond like an edge"),
    ],
)
def test_a_server_that_is_not_an_edge_is_reported(responses: Responses, expected: str) -> None:
    """A server that responded with 404 to everything was reported as a load without a failure."""
    with other_server(responses) as host, pytest.raises(ServerUnavailable, match=expected):
        load.run(tree.parse(["load", "--host", host]))


def test_an_empty_catalogue_is_no_load() -> None:
    with other_server({"/api/v1/parts": (200, b'{"items": []}')}) as host, pytest.raises(load.NothingToBrowse):
        load.run(tree.parse(["load", "--host", host]))
