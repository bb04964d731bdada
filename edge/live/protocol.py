"""The messages and frames of the live protocol: JSON texts, one object each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from edge.http.json_names import DuplicateName, check_names
from edge.live.errors import BadMessage

PART_ID: Final = "^[A-Za-z0-9._-]{1,64}$"
CATEGORY_ID: Final = "^[a-z0-9-]{1,128}$"

SubscriptionId = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
PartId = Annotated[str, msgspec.Meta(pattern=PART_ID)]
CategoryId = Annotated[str, msgspec.Meta(pattern=CATEGORY_ID)]


class Subscribe(msgspec.Struct, tag_field="op", tag="subscribe"):
    """Subscribe, or replace the subscription of the same id.

    Without a cursor that can be resumed, a snapshot is sent.
    """

    id: SubscriptionId
    parts: list[PartId] = []
    categories: list[CategoryId] = []
    mode: Literal["latest", "all"] = "latest"
    cursor: Annotated[str, msgspec.Meta(max_length=1000)] = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of one client."""

    id: str
    parts: frozenset[str]
    categories: frozenset[str]
    every_event: bool

    @property
    def size(self) -> int:
        """Return the number of names; one that does not exist costs as much as one that does."""
        return len(self.parts) + len(self.categories)


class Unsubscribe(msgspec.Struct, tag_field="op", tag="unsubscribe"):
    """End a subscription."""

    id: SubscriptionId


class Authenticate(msgspec.Struct, tag_field="op", tag="auth"):
    """Sign in, or renew the token."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=8192)]


class Ping(msgspec.Struct, tag_field="op", tag="ping"):
    """Request a pong."""


Message = Subscribe | Unsubscribe | Authenticate | Ping


class Location(msgspec.Struct):
    """The stock of one location, for staff."""

    location_id: str
    on_hand: int
    reserved: int
    available: int
    version: int


class Stock(msgspec.Struct):
    """The public stock of a part."""

    part_id: str
    version: int
    available: int
    in_stock: bool
    low_stock: bool


class StaffStock(Stock):
    """The stock of a part for staff."""

    on_hand: int
    reserved: int
    locations: list[Location]


class SnapshotPart(Stock):
    """One part of a snapshot; versions are 0 where there is nothing."""

    content_version: int


class StaffSnapshotPart(StaffStock):
    """One part of a snapshot for staff."""

    content_version: int


class StockFrame(Stock, tag_field="type", tag="stock"):
    """The stock of a part changed."""

    cursor: str
    commit_time: str


class StaffStockFrame(StaffStock, tag_field="type", tag="stock"):
    """The stock of a part changed, for staff."""

    cursor: str
    commit_time: str


class ContentFrame(msgspec.Struct, tag_field="type", tag="content"):
    """The content of a part changed: read it again."""

    part_id: str
    version: int
    changed: list[str]
    operation: str
    cursor: str
    commit_time: str


class SubscribedFrame(msgspec.Struct, tag_field="type", tag="subscribed", omit_defaults=True):
    """The subscription is active. Changes after ``cursor`` follow as events.

    ``recovered``: nothing was missed since the client's cursor. Otherwise ``parts`` is the current state: the named
    parts, then the published parts of the categories and their subtrees. A snapshot of many parts is sent in several
    consecutive frames: all but the last have ``"more": true`` and an empty cursor, because the snapshot is not complete
    there.
    """

    id: str
    cursor: str
    recovered: bool
    parts: list[SnapshotPart | StaffSnapshotPart]
    more: bool = False


class UnsubscribedFrame(msgspec.Struct, tag_field="type", tag="unsubscribed"):
    """The subscription ended."""

    id: str


class BookmarkFrame(msgspec.Struct, tag_field="type", tag="bookmark"):
    """Everything up to the cursor was delivered."""

    cursor: str


class PongFrame(msgspec.Struct, tag_field="type", tag="pong"):
    """The response to a ping."""


class AuthenticatedFrame(msgspec.Struct, tag_field="type", tag="authenticated"):
    """The client is signed in as ``username`` until ``expires_at``, seconds since 1970."""

    username: str
    expires_at: int


class ErrorFrame(msgspec.Struct, tag_field="type", tag="error", omit_defaults=True):
    """A request was rejected; ``id`` names the subscription concerned."""

    reason: str
    message: str
    id: str = ""


DEEPEST_NESTING: Final = 16  # the deepest message of the protocol has two levels

_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_decoder: Final = msgspec.json.Decoder(Message)
_encoder: Final = msgspec.json.Encoder()


def decode(text: str) -> Message:
    """Decode a client's message; raise ``BadMessage``.

    The decoder skips unknown fields and follows them as deep as the interpreter lets it, which differs by Python
    version; therefore the depth has a limit of its own.
    """
    if _is_deeper_than(text, DEEPEST_NESTING):
        raise BadMessage(f"The message nests lists or objects more than {DEEPEST_NESTING} deep.")
    try:
        message: Message = _decoder.decode(text)
        check_names(text)
    except DuplicateName:
        raise BadMessage("An object has the same name twice.") from None
    except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
        raise BadMessage(f"The message cannot be read: {error}") from None
    return message


def _is_deeper_than(text: str, limit: int) -> bool:
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for character in _STRINGS.sub("", text):
        if character in "[{":
            depth += 1
            if depth > limit:
                return True
        elif character in "]}":
            depth -= 1
    return False


def encode(frame: Any) -> str:
    """Return the text of a frame."""
    return _encoder.encode(frame).decode()
