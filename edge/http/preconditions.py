"""Conditional requests (RFC 9110, 13): entity tags, ``If-Match``, ``If-None-Match`` and ``expected_version``.

The tag of a resource with a version is `"<epoch>.<version>"`: a restored database assigns versions again, in
another epoch, so that no tag from before a restore matches anything after it.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from changelog import cursor as cursors
from chassis.errors import FieldViolation, VersionRequired
from edge.http.errors import MalformedRequest
from edge.http.request_context import current_request_context
from partstream.changes.v1.if_match_pb2 import IfMatch, SeenVersion

if TYPE_CHECKING:
    from litestar import Request

PRECONDITION_FAILED: Final = 412
MOST_TAGS: Final = 100  # that name a version, in one header
ANY: Final = "*"

# A list of entity tags (RFC 9110, 8.8.3), and each tag in it.
_TAG: Final = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_LIST: Final = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_TAGS: Final = re.compile(_TAG)
# Tags with a version: `"<epoch>.7"`, and `"<epoch>.7-low"` of the public stock route, in any coding.
# Releases before this one named no epoch: such a tag matches until the database is restored for the first time.
_VERSION_TAG: Final = re.compile(
    r'"(?:(?P<epoch>[0-9a-f]{32})\.)?(?P<version>0|[1-9][0-9]{0,14})(?:-low)?(?:\.[a-z]+)?"', re.ASCII
)


@dataclass(frozen=True, slots=True)
class Precondition:
    """The version to replace; ``None`` with ``unconditional`` = any, as long as the resource exists.

    ``if_match`` holds the states that the header accepts, for the service to compare.
    """

    version: int | None
    unconditional: bool = False
    if_match: IfMatch | None = None


def precondition(request: Request[Any, Any, Any], in_body: int | None, *, required: bool = True) -> Precondition:
    """Return the version that the caller expects; raise ``VersionRequired`` (428) when it sends none.

    A stale ``If-Match`` leads to 412, a stale ``expected_version`` to 409. Raise ``MalformedRequest`` for a malformed
    header.
    """
    header = _header(request, "If-Match")
    if header is None:
        if in_body is None and required:
            message = "The version to replace is required: send expected_version in the body, or If-Match."
            raise VersionRequired(message)
        return Precondition(in_body)
    if header.strip(" \t") == ANY:
        return Precondition(in_body, unconditional=in_body is None)
    current_request_context().conflict_status = PRECONDITION_FAILED
    seen = _seen_in(header)
    if in_body is not None and seen and in_body not in {item.version for item in seen}:
        message = f"expected_version is {in_body}, which no entity tag in If-Match names"
        detail = "If-Match and expected_version contradict each other."
        raise MalformedRequest(detail, fields=[FieldViolation("expected_version", message)])
    return Precondition(in_body, if_match=IfMatch(any_of=seen))


def is_known(request: Request[Any, Any, Any], etag: str) -> bool:
    """Return whether ``If-None-Match`` names the tag, by weak comparison; a header without tags names none."""
    header = _header(request, "If-None-Match")
    if header is None:
        return False
    return header.strip(" \t") == ANY or any(tag.removeprefix("W/") == etag for tag in _TAGS.findall(header))


def version_etag(version: int, revision_token: str, log: str, *, kind: str = "") -> str:
    """Return the tag of a resource whose version alone identifies its state, as of the response with this token.

    ``kind`` marks a number that is no version of one resource: ``If-Match`` never matches it.
    """
    return f'"{version_tag(version, epoch_of(revision_token, log), kind=kind)}"'


def version_tag(version: int, epoch: uuid.UUID | None, *, kind: str = "") -> str:
    """Return the tag without quotes."""
    return f"{(epoch or uuid.UUID(int=0)).hex}.{kind}{version}"


def epoch_of(revision_token: str, log: str) -> uuid.UUID | None:
    """Return the epoch of a log in a token."""
    position = cursors.position_in(revision_token, log)
    return position.epoch if position else None


def _header(request: Request[Any, Any, Any], name: str) -> str | None:
    """Return the value of a header that is a list: several lines are one list (RFC 9110, 5.3)."""
    lines = request.headers.getall(name, [])
    return ", ".join(lines) if lines else None


def _seen_in(header: str) -> list[SeenVersion]:
    """Return the versions in the strong tags, maybe none; raise ``MalformedRequest`` for a malformed list.

    A weak tag never matches (RFC 9110, 13.1.1), nor does a tag that was never issued.
    """
    if not _LIST.fullmatch(header):
        raise _unreadable("must be entity tags in quotes, separated by commas, or *")
    matches = (_VERSION_TAG.fullmatch(tag) for tag in _TAGS.findall(header))
    found = {(match["epoch"] or "", int(match["version"])) for match in matches if match}
    if len(found) > MOST_TAGS:
        raise _unreadable(f"must name at most {MOST_TAGS} versions")
    return [
        SeenVersion(epoch=str(uuid.UUID(hex=epoch)) if epoch else "", version=version)
        for epoch, version in sorted(found)
    ]


def _unreadable(message: str) -> MalformedRequest:
    detail = "The If-Match header is malformed."
    return MalformedRequest(detail, fields=[FieldViolation("If-Match", message)])
