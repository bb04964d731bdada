"""The API reference for people: Swagger UI, served from here: no other site's script may run beside a session."""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.params import PathParameter

from edge.http.representation import Representation, respond

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACKAGE: Final = "flask_swagger_ui"  # brings the files as they are released; nothing of Flask is loaded
_START: Final = """\
window.addEventListener("load", () => SwaggerUIBundle({
  url: "openapi.json", dom_id: "#reference", deepLinking: true, filter: true, tryItOutEnabled: true,
  displayRequestDuration: true, docExpansion: "list", persistAuthorization: false,
}));
"""
_PAGE: Final = """\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Partstream: API reference</title>
    <base href="/schema/">
    <link rel="icon" href="assets/favicon-32x32.png">
    <link rel="stylesheet" href="assets/swagger-ui.css">
    <script src="assets/swagger-ui-bundle.js"></script>
    <script src="assets/start.js"></script>
  </head>
  <body>
    <noscript>This page needs a script. The document itself is at <a href="openapi.json">openapi.json</a>.</noscript>
    <div id="reference"></div>
  </body>
</html>
"""
_TYPES: Final[Mapping[str, str]] = {
    "favicon-32x32.png": "image/png",
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}


class ApiPage(OpenAPIRenderPlugin):
    """``/schema`` as a page."""

    def __init__(self) -> None:
        """The page is the same for everybody: it reads the document itself."""
        super().__init__(path="/reference")

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The page."""
        del request, openapi_schema
        return _PAGE.encode()


@get("/schema/assets/{name:str}", include_in_schema=False, sync_to_thread=True)
def api_page_asset(request: Request[Any, Any, Any], name: Annotated[str, PathParameter()]) -> Response[Any]:
    """A file of the page. In a thread: the first reader of the script waits for its compression."""
    if name not in _TYPES:
        raise NotFoundException
    return respond(request, _asset(name), cache_control="public, max-age=3600", media_type=_TYPES[name])


@lru_cache(maxsize=len(_TYPES))
def _asset(name: str) -> Representation:
    if name == "start.js":
        return Representation(_START.encode())
    package = importlib.util.find_spec(_PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise NotFoundException
    return Representation(Path(package.submodule_search_locations[0], "dist", name).read_bytes())
