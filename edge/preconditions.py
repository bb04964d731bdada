"""Which version a write replaces: ``expected_version`` in the body, or ``If-Match``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chassis.errors import FieldViolation, VersionRequired
from edge.errors import MalformedRequest
from edge.exchange import current_exchange

if TYPE_CHECKING:
    from litestar import Request

PRECONDITION_FAILED: Final = 412

# ETags of ours that name a version: `"7"`, and `"7-low"` of the stock route.
_VERSION_TAG: Final = re.compile(r'(?:W/)?"(?P<version>[0-9]{1,16})(?:-[a-z]+)?(?:\.[a-z]+)?"')


@dataclass(frozen=True, slots=True)
class Precondition:
    """The version to replace; ``None`` with ``unconditional`` = whatever is there, as long as something is."""

    version: int | None
    unconditional: bool = False


def precondition(request: Request[Any, Any, Any], in_body: int | None, *, required: bool = True) -> Precondition:
    """What the caller believes is there; ``VersionRequired`` (428) when it does not say.

    A stale ``If-Match`` is answered 412, a stale ``expected_version`` 409.
    """
    header = request.headers.get("If-Match")
    if header is None:
        if in_body is None and required:
            message = "Say which version this replaces: expected_version in the body, or If-Match."
            raise VersionRequired(message)
        return Precondition(in_body)
    current_exchange().conflict_status = PRECONDITION_FAILED
    if header.strip() == "*":
        return Precondition(in_body, unconditional=in_body is None)
    version = _version_of(header)
    if in_body is not None and in_body != version:
        message = f"If-Match says {version}, expected_version says {in_body}"
        detail = "If-Match and expected_version contradict each other."
        raise MalformedRequest(detail, fields=[FieldViolation("expected_version", message)])
    return Precondition(version)


def _version_of(header: str) -> int:
    found = _VERSION_TAG.fullmatch(header.strip())
    if found is None:
        message = 'one entity tag that names a version, like "7", or *'
        detail = "The If-Match header cannot be read."
        raise MalformedRequest(detail, fields=[FieldViolation("If-Match", message)])
    return int(found["version"])


def version_etag(version: int) -> str:
    """The ETag of a resource whose version alone tells its state."""
    return f'"{version}"'
