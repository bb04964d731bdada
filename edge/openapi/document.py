"""The OpenAPI document: every route says every status it can answer."""

from __future__ import annotations

from typing import Final

from litestar.openapi import OpenAPIConfig
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.plugins import JsonRenderPlugin, YamlRenderPlugin
from litestar.openapi.spec import Tag

from edge.openapi.operations import COMPONENTS
from edge.openapi.page import ApiPage
from edge.views.problem import Problem

_PROBLEM_JSON: Final = "application/problem+json"

_DESCRIPTIONS: Final = {
    304: "The client has this representation already.",
    400: "The request cannot be read.",
    401: "No token, or one that cannot be accepted.",
    403: "The permission is missing.",
    404: "There is no such thing.",
    408: "The body did not arrive in time; the connection ends.",
    409: "The state does not allow it; `current` is what is there now.",
    412: "No tag in If-Match is that of the present state: `current`, whose tag is `metadata.current_etag`.",
    413: "The body is too large; the connection ends.",
    414: "Path and query are too long.",
    415: "The body does not say that it is JSON, or is compressed.",
    422: "A rule is broken.",
    428: "The expected version is missing.",
    429: "A limit of the caller is reached, or too many attempts to sign in failed; see Retry-After.",
    431: "The header fields are too large.",
    503: "Not now; see Retry-After.",
    504: "Time ran out; ask again with the same Idempotency-Key.",
}

ANY_HEAD: Final = (400, 414, 431)
# What any request may get, whichever route it is for: by its head, the address that it comes from, the load here.
ANY_REQUEST: Final = (*ANY_HEAD, 429, 503)
# What any request with a body may get besides.
ANY_BODY: Final = (408, 413, 415)

_ALWAYS: Final = (400, 503, 504)  # a revision or token that cannot be read; a service away; a deadline

ADMIN_READ: Final = (*_ALWAYS, 401, 403, 404, 422)
ADMIN_WRITE: Final = (*ADMIN_READ, 409, 413, 415)
CONDITIONAL_WRITE: Final = (*ADMIN_WRITE, 412)
GUARDED_WRITE: Final = (*CONDITIONAL_WRITE, 428)  # one that must say what it replaces
PUBLIC_READ: Final = (*_ALWAYS, 401, 404, 422)
PUBLIC_WRITE: Final = (*PUBLIC_READ, 409, 413, 415)
SIGN_IN: Final = (400, 401, 413, 415, 422, 503)


def refusals(*statuses: int) -> dict[int, ResponseSpec]:
    """Documentation of problem answers, for a route's ``responses``; 304 has no body.

    Those of every request are added, and those of every body where the route has one.
    """
    with_body = ANY_BODY if set(statuses) & set(ANY_BODY) else ()
    return problems(*statuses, *ANY_REQUEST, *with_body)


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Documentation of these problem responses and no others."""
    return {
        status: ResponseSpec(
            data_container=None if status == 304 else Problem,
            description=_DESCRIPTIONS[status],
            media_type=_PROBLEM_JSON,
            generate_examples=False,
        )
        for status in dict.fromkeys(statuses)
    }


def openapi_config(version: str) -> OpenAPIConfig:
    """``/schema`` for people, ``/schema/openapi.json`` for programs."""
    return OpenAPIConfig(
        title="Partstream",
        version=version,
        description="Parts, their stock and their content: the storefront's and the administrators' interface.",
        path="/schema",
        render_plugins=[ApiPage(), JsonRenderPlugin(), YamlRenderPlugin()],
        components=COMPONENTS,
        tags=[
            Tag("parts", "What customers see"),
            Tag("reservations", "Stock held for a cart"),
            Tag("auth", "Signing in"),
            Tag("admin", "For staff"),
            Tag("operations", "Health, metrics and keys"),
        ],
        use_handler_docstrings=True,
    )
