"""A plain Litestar route on the same server as the edge: the lower bound of the cost of a response.

``python -m loadtests.bench.bare_route PORT`` serves until it is ended.
"""

from __future__ import annotations

import sys

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server
from litestar import Litestar, Response, get

BODY = b'{"filler":"' + b"x" * 437 + b'"}'  # 450 bytes: about a product page


@get("/bare")
async def bare() -> Response[bytes]:
    """The constant."""
    return Response(BODY, media_type="application/json")


async def serve(port: int) -> None:
    """One process, one event loop, one listener, as an edge is."""
    server = Server(
        Litestar(route_handlers=[bare], openapi_config=None, logging_config=None),
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        log_enabled=False,
    )
    await server.serve()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
