"""Kinds of operations in the OpenAPI document: the headers of their requests and responses, and how callers sign in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from litestar.openapi.spec import (
    Components,
    OpenAPIHeader,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    Schema,
    SecurityScheme,
)
from litestar.openapi.spec.enums import OpenAPIType

from edge.openapi.schemas import loosen

_TAG: Final = '(W/)?"[!#-~]*"'
_TAG_EXAMPLE: Final = '"0b0c9f2e1d7e4a51a2d6c8f1e4b7a903.7"'

PARAMETERS: Final[dict[str, Parameter]] = {
    "Idempotency-Key": Parameter(
        "Idempotency-Key",
        "header",
        Schema(type=OpenAPIType.STRING, min_length=1, max_length=200),
        description="Identifies this request; chosen by the client. A retry with the same body returns the stored "
        "response with `Idempotent-Replayed: true`; another body is rejected (422).",
    ),
    "If-Match": Parameter(
        "If-Match",
        "header",
        Schema(type=OpenAPIType.STRING, pattern=rf"^([*]|{_TAG}( *, *{_TAG})*)$", examples=[_TAG_EXAMPLE]),
        description="ETags of the versions that may be replaced, instead of `expected_version`. One of them must match "
        "the current state by strong comparison (RFC 9110, 13.1.1), else 412; `*` matches any state. A tag from before "
        "a restore of the database never matches; `expected_version` cannot detect a restore.",
    ),
    "If-None-Match": Parameter(
        "If-None-Match",
        "header",
        Schema(type=OpenAPIType.STRING, examples=[_TAG_EXAMPLE]),
        description="ETags of the representations that the client has, or `*`; 304 when one of them matches by weak "
        "comparison (RFC 9110, 13.1.2).",
    ),
    "Partstream-Min-Revision": Parameter(
        "Partstream-Min-Revision",
        "header",
        Schema(type=OpenAPIType.STRING, max_length=1000),
        description="`Partstream-Revision` of an earlier response: this response is at least as new, else 503 "
        "(`complete` is `false` for the audit trail).",
    ),
    "Partstream-Owner-Key": Parameter(
        "Partstream-Owner-Key",
        "header",
        Schema(type=OpenAPIType.STRING, min_length=32, max_length=200, pattern="^[!-~]*$"),
        description="The secret that identifies the cart of a guest. Made by the client, or generated and returned in "
        "this header with the first reservation. Only its hash is stored. A signed-in caller who sends it takes "
        "over the reservations of the cart.",
    ),
    "X-CSRF-Token": Parameter(
        "X-CSRF-Token",
        "header",
        Schema(type=OpenAPIType.STRING),
        description="Required with a session cookie, not with a bearer token: `csrf_token` of `GET /auth/session`.",
    ),
}


def _header(description: str, *, example: str) -> OpenAPIHeader:
    return OpenAPIHeader(Schema(type=OpenAPIType.STRING, examples=[example]), description=description)


HEADERS: Final[dict[str, OpenAPIHeader]] = {
    "Partstream-Request-Id": _header("Identifies the request in the logs.", example="0b0c9f2e-1d7e-4a51"),
    "Partstream-Revision": _header(
        "Revision token of the state that is returned or was written; opaque.", example="Agdjb250ZW50"
    ),
    "ETag": _header(
        "Entity tag of this representation; opaque. That of a version is `<epoch>.<version>`.", example=_TAG_EXAMPLE
    ),
    "Cache-Control": _header("Whether the response may be stored, and must be revalidated.", example="no-cache"),
    "Cache-Status": _header(
        "Cache hit, miss or stale, and in which tier (RFC 9211).", example='partstream; hit; detail="memory"'
    ),
    "Location": _header("Address of the new resource.", example="/api/v1/parts/RC-1001"),
    "Partstream-Owner-Key": _header(
        "The generated secret of a guest's new cart, returned once; only its hash is stored.",
        example="J0v0mWmW8u0Bq1cJr4Lr1v7bK3oY5s2eX9aZ6tD8fGk",
    ),
    "Retry-After": _header("Seconds to wait before a retry.", example="1"),
    "RateLimit-Policy": _header(
        "The caller's limit for requests of this class: `q` in `w` seconds (RateLimit header fields for HTTP).",
        example='"reads";q=3000;w=10',
    ),
    "RateLimit": _header(
        "Requests left, `r`, and seconds until the window ends, `t`.",
        example='"reads";r=2993;t=7',
    ),
    "WWW-Authenticate": _header(
        "The authentication scheme, and what is wrong with the token (RFC 6750).",
        example='Bearer realm="partstream", error="invalid_token"',
    ),
    "Idempotent-Replayed": _header(
        "`true` when this is the stored response of an earlier request with the same key.", example="true"
    ),
}

BEARER: Final[dict[str, list[str]]] = {"bearer": []}
SESSION: Final[dict[str, list[str]]] = {"session": []}

LIMIT_HEADERS: Final = ("RateLimit-Policy", "RateLimit")  # of every response of the API

COMPONENTS: Final = Components(
    headers=dict(HEADERS),
    security_schemes={
        "bearer": SecurityScheme(
            type="http",
            scheme="bearer",
            bearer_format="JWT",
            description="`access_token` of `POST /auth/login`; valid for ten minutes.",
        ),
        "session": SecurityScheme(
            type="apiKey",
            name="partstream_session",
            security_scheme_in="cookie",
            description="Set by `POST /auth/session`; requests that change something also need `X-CSRF-Token`. "
            "Over https its name is `__Host-partstream_session`.",
        ),
    },
)


@dataclass
class Described(Operation):
    """An operation with its headers. Its subclasses are kinds of operations, for a route's ``operation_class``."""

    request_headers: ClassVar[tuple[str, ...]] = ()
    response_headers: ClassVar[tuple[str, ...]] = ()  # of a success

    def __post_init__(self) -> None:
        """Add the headers to those that the route declares."""
        self.parameters = [*(self.parameters or ()), *(PARAMETERS[name] for name in self.request_headers)] or None
        for parameter in self.parameters or ():
            loosen(getattr(parameter, "schema", None))
        for content in getattr(self.request_body, "content", {}).values():
            loosen(content.schema)
        for status, response in (self.responses or {}).items():
            if isinstance(response, OpenAPIResponse):
                given = {name: Reference(f"#/components/headers/{name}") for name in self._headers_of(status)}
                response.headers = {**(response.headers or {}), **given}
                for content in (response.content or {}).values():
                    loosen(content.schema)

    def _headers_of(self, status: str) -> tuple[str, ...]:
        always = ("Partstream-Request-Id", "Partstream-Revision")
        match status:
            case "401":
                return ("WWW-Authenticate", *LIMIT_HEADERS)
            case "429" | "503":
                return ("Retry-After", *LIMIT_HEADERS)
            case "304":
                return ("ETag", "Cache-Control", "Cache-Status", *always, *LIMIT_HEADERS)
            case _ if status.startswith("2"):
                return (*self.response_headers, *always, *LIMIT_HEADERS)
            case _:
                return LIMIT_HEADERS


@dataclass
class CachedRead(Described):
    """A read that caches serve, and that a client may revalidate."""

    request_headers: ClassVar[tuple[str, ...]] = ("If-None-Match", "Partstream-Min-Revision")
    response_headers: ClassVar[tuple[str, ...]] = ("ETag", "Cache-Control", "Cache-Status")


@dataclass
class FreshRead(Described):
    """A read from the service, without a cache."""

    request_headers: ClassVar[tuple[str, ...]] = ("Partstream-Min-Revision",)


@dataclass
class TaggedRead(FreshRead):
    """A read from the service of a resource whose ETag is used in ``If-Match``."""

    response_headers: ClassVar[tuple[str, ...]] = ("ETag",)


@dataclass
class CartRead(FreshRead):
    """A read of the reservations of a cart or an account."""

    request_headers: ClassVar[tuple[str, ...]] = ("Partstream-Owner-Key", "Partstream-Min-Revision")


def described(request_headers: tuple[str, ...], response_headers: tuple[str, ...]) -> type[Described]:
    """Return a kind of operation with these headers."""
    return type(
        "DescribedWrite", (Described,), {"request_headers": request_headers, "response_headers": response_headers}
    )
