"""The OpenAPI document: operation ids, and the responses that each route documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Tag

from edge.openapi.operations import COMPONENTS
from edge.openapi.page import ApiPage
from edge.views.problem import Problem

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

_PROBLEM_JSON: Final = "application/problem+json"

_DESCRIPTIONS: Final = {
    304: "Not modified: the client's representation is current.",
    400: "The request is malformed.",
    401: "The token is missing, invalid, expired or revoked.",
    403: "The caller lacks the permission.",
    404: "The resource in the path does not exist.",
    408: "The body did not arrive in time; the connection is closed.",
    409: "The request conflicts with the current state, returned as `current`.",
    412: "No tag in If-Match matches the current state, returned as `current`; its tag is `metadata.current_etag`.",
    413: "The body is too large; the connection is closed.",
    414: "Path and query are too long.",
    415: "The Content-Type is not JSON, or the body is compressed.",
    422: "A field violates a rule; see `errors`.",
    428: "Neither `expected_version` nor If-Match is given.",
    429: "A rate limit is reached, or too many sign-ins failed; see Retry-After.",
    431: "The header fields are too large.",
    503: "Temporarily unavailable or overloaded; see Retry-After.",
    504: "The deadline was exceeded; retry with the same Idempotency-Key.",
}

ANY_HEAD: Final = (400, 414, 431)
# What any request may get, whatever its route: because of its head, its client address or the load.
ANY_REQUEST: Final = (*ANY_HEAD, 429, 503)
# What any request with a body may get besides.
ANY_BODY: Final = (408, 413, 415)

_ALWAYS: Final = (400, 503, 504)  # a malformed revision or token; a service unavailable; a deadline exceeded

ADMIN_READ: Final = (*_ALWAYS, 401, 403, 404, 422)
ADMIN_WRITE: Final = (*ADMIN_READ, 409, 413, 415)
CONDITIONAL_WRITE: Final = (*ADMIN_WRITE, 412)
GUARDED_WRITE: Final = (*CONDITIONAL_WRITE, 428)  # one that requires the version it replaces
PUBLIC_READ: Final = (*_ALWAYS, 401, 404, 422)
PUBLIC_WRITE: Final = (*PUBLIC_READ, 409, 413, 415)
SIGN_IN: Final = (400, 401, 413, 415, 422, 503)


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the documentation of problem responses, for a route's ``responses``; 304 has no body.

    Those that any request may get are added, and those of any body where the route has one.
    """
    with_body = ANY_BODY if set(statuses) & set(ANY_BODY) else ()
    return problems(*statuses, *ANY_REQUEST, *with_body)


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Return the documentation of these problem responses and no others."""
    return {
        status: ResponseSpec(
            data_container=None if status == 304 else Problem,
            description=_DESCRIPTIONS[status],
            media_type=_PROBLEM_JSON,
            generate_examples=False,
        )
        for status in dict.fromkeys(statuses)
    }


def operation_id(handler: HTTPRouteHandler, _method: object, _path: object) -> str:
    """Return the name of the handler in camel case, such as ``reverseMovement``: what generated clients call it."""
    first, *others = handler.handler_name.split("_")
    return first + "".join(word.capitalize() for word in others)


def openapi_config(version: str) -> OpenAPIConfig:
    """Return the configuration of ``/schema`` (a page) and ``/schema/openapi.json``."""
    return OpenAPIConfig(
        title="Partstream",
        version=version,
        description="Parts, their content and their stock: the interface of storefronts and administrators.",
        path="/schema",
        operation_id_creator=operation_id,
        render_plugins=[ApiPage(), JsonRenderPlugin(), YamlRenderPlugin()],
        components=COMPONENTS,
        tags=[
            Tag("parts", "Published parts, categories and stock"),
            Tag("reservations", "Stock reserved for a cart"),
            Tag("auth", "Sign-in, sessions and registration"),
            Tag("admin", "Administration: needs a permission"),
            Tag("operations", "Health and public keys"),
        ],
        use_handler_docstrings=True,
    )
