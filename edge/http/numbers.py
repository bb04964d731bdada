"""Check whole numbers in URLs: ASCII digits without sign, spaces, underscores or leading zeros.

``int()`` also accepts `1_0`, ` 1`, `01` and the digits of other scripts: one resource would have many URLs, and a
mistyped URL would reverse another movement.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_args

from litestar.exceptions import NotFoundException

from chassis.errors import FieldViolation
from edge.http.errors import MalformedRequest

if TYPE_CHECKING:
    from litestar import Request
    from litestar.handlers.base import BaseRouteHandler

NUMBER: Final = re.compile("0|[1-9][0-9]*", re.ASCII)
NUMBER_IN_PATH: Final = "ASCII digits, without sign or leading zeros; another spelling is 404"
_NO_NUMBER: Final = "must be a whole number: ASCII digits, without sign or leading zeros"


def reject_other_numbers(request: Request[Any, Any, Any]) -> None:
    """Raise 404 for another spelling of a number in the path, ``MalformedRequest`` (400) for one in the query."""
    _check_path(request)
    query = request.query_params
    if not query:
        return
    names = [name for name in _numbers_of(request.route_handler) if name in query]
    wrong = [name for name in names if not all(map(NUMBER.fullmatch, query.getall(name)))]
    if wrong:
        message = f"{wrong[0]} {_NO_NUMBER}."
        raise MalformedRequest(message, fields=[FieldViolation(name, _NO_NUMBER) for name in wrong])


def _check_path(request: Request[Any, Any, Any]) -> None:
    numbers = {name: value for name, value in request.path_params.items() if isinstance(value, int)}
    if not numbers:
        return
    template = str(request.scope.get("path_template", "")).strip("/").split("/")
    segments = request.scope["path"].strip("/").split("/")
    for piece, segment in zip(template, segments, strict=False):
        if piece[1:-1] in numbers and not NUMBER.fullmatch(segment):
            raise NotFoundException


@cache
def _numbers_of(handler: BaseRouteHandler) -> tuple[str, ...]:
    """Return the names of the integer parameters of a handler."""
    parameters = handler.parsed_fn_signature.parameters
    return tuple(name for name, field in parameters.items() if int in {field.annotation, *get_args(field.annotation)})
