"""Which version a write replaces: ``expected_version`` in the body, or ``If-Match``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from chassis.errors import FieldViolation, VersionRequired
from edge.errors import MalformedRequest
from edge.exchange import current_exchange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from litestar import Request

PRECONDITION_FAILED: Final = 412

# A list of entity tags (RFC 9110, 8.8.3), and each tag in it.
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST: Final = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_TAGS: Final = re.compile(_TAG)
# Tags of ours that name a version: `"7"`, and `"7-low"` of the stock route. A weak tag never matches (13.1.1).
_VERSION_TAG: Final = re.compile(r'"(?P<version>[0-9]{1,15})(?:-low)?(?:\.[a-z]+)?"')

# A version that nothing ever reaches: expected when no tag names one, so that the answer shows what is there.
NEVER: Final = 9_000_000_000_000_000


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
    if header.strip() == "*":
        return Precondition(in_body, unconditional=in_body is None)
    current_exchange().conflict_status = PRECONDITION_FAILED
    versions = _versions_in(header)
    if in_body is None:
        # Of several, the newest: whoever kept older representations too must not undo what the newest one says.
        return Precondition(max(versions, default=NEVER))
    if versions and in_body not in versions:
        message = f"If-Match says {max(versions)}, expected_version says {in_body}"
        detail = "If-Match and expected_version contradict each other."
        raise MalformedRequest(detail, fields=[FieldViolation("expected_version", message)])
    return Precondition(in_body if versions else NEVER)


def _versions_in(header: str) -> Sequence[int]:
    """The versions that the tags of a header name, which may be none; ``MalformedRequest`` when these are no tags."""
    if not _LIST.fullmatch(header):
        message = 'entity tags in quotes, like "7", or *'
        detail = "The If-Match header cannot be read."
        raise MalformedRequest(detail, fields=[FieldViolation("If-Match", message)])
    found = (_VERSION_TAG.fullmatch(tag) for tag in _TAGS.findall(header))
    return [int(match["version"]) for match in found if match]


def version_etag(version: int) -> str:
    """The ETag of a resource whose version alone tells its state."""
    return f'"{version}"'
