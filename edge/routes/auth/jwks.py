"""The public keys that verify access tokens."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from edge.http.representation import JSON
from edge.openapi.document import refusals

TheKeySet: TypeAlias = NamedDependency[SkipValidation[Any]]


class KeySet(msgspec.Struct):
    """A JSON Web Key Set (RFC 7517)."""

    keys: list[dict[str, str]]


@get(
    "/.well-known/jwks.json",
    tags=["operations"],
    summary="Returns the public keys that verify access tokens",
    response_description="The key set.",
    responses=refusals(),
)
async def get_key_set(key_set: TheKeySet) -> Response[KeySet]:
    """Returns the public keys; cacheable for five minutes."""
    headers = {"Cache-Control": "public, max-age=300"}
    return Response(msgspec.json.encode(key_set), media_type=JSON, headers=headers)  # type: ignore[arg-type]
