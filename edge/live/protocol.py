"""The frames of the live protocol: JSON texts, one object each."""

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
    """Begin, or begin anew under the same id. Without a cursor, or when it cannot be resumed, a snapshot comes."""

    id: SubscriptionId
    parts: list[PartId] = []
    categories: list[CategoryId] = []
    mode: Literal["latest", "all"] = "latest"
    cursor: Annotated[str, msgspec.Meta(max_length=1000)] = ""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscription of one socket."""

    id: str
    parts: frozenset[str]
    categories: frozenset[str]
    every_event: bool

    @property
    def size(self) -> int:
        """Return how many names it has; what does not exist costs as much as what does."""
        return len(self.parts) + len(self.categories)


class Unsubscribe(msgspec.Struct, tag_field="op", tag="unsubscribe"):
    """End a subscription."""

    id: SubscriptionId


class Authenticate(msgspec.Struct, tag_field="op", tag="auth"):
    """Be someone from now on, or longer."""

    token: Annotated[str, msgspec.Meta(min_length=1, max_length=8192)]


class Ping(msgspec.Struct, tag_field="op", tag="ping"):
    """Is anyone there?"""


Message = Subscribe | Unsubscribe | Authenticate | Ping


class Location(msgspec.Struct):
    """Stock at one place, for staff."""

    location_id: str
    on_hand: int
    reserved: int
    available: int
    version: int


class Stock(msgspec.Struct):
    """What everyone may know of a part's stock."""

    part_id: str
    version: int
    available: int
    in_stock: bool
    low_stock: bool


class StaffStock(Stock):
    """The same with what only staff may know."""

    on_hand: int
    reserved: int
    locations: list[Location]


class SnapshotPart(Stock):
    """One part of a snapshot; versions are 0 where there is nothing."""

    content_version: int


class StaffSnapshotPart(StaffStock):
    """The same for staff."""

    content_version: int


class StockFrame(Stock, tag_field="type", tag="stock"):
    """Stock of a part changed."""

    cursor: str
    commit_time: str


class StaffStockFrame(StaffStock, tag_field="type", tag="stock"):
    """The same for staff."""

    cursor: str
    commit_time: str


class ContentFrame(msgspec.Struct, tag_field="type", tag="content"):
    """Content of a part changed: read it again."""

    part_id: str
    version: int
    changed: list[str]
    operation: str
    cursor: str
    commit_time: str


class SubscribedFrame(msgspec.Struct, tag_field="type", tag="subscribed", omit_defaults=True):
    """The subscription stands. What happens after ``cursor`` follows as events.

    ``recovered`` tells that nothing was missed since the client's cursor; otherwise ``parts`` is the state now: the
    named parts, then the published parts of the categories and of all below them. A snapshot of many parts comes in
    several frames in a row: all but the last have ``"more": true`` and an empty cursor, because whoever stops there has
    not got it.
    """

    id: str
    cursor: str
    recovered: bool
    parts: list[SnapshotPart | StaffSnapshotPart]
    more: bool = False


class UnsubscribedFrame(msgspec.Struct, tag_field="type", tag="unsubscribed"):
    """The subscription is gone."""

    id: str


class BookmarkFrame(msgspec.Struct, tag_field="type", tag="bookmark"):
    """Everything up to the cursor was delivered."""

    cursor: str


class PongFrame(msgspec.Struct, tag_field="type", tag="pong"):
    """Someone is."""


class AuthenticatedFrame(msgspec.Struct, tag_field="type", tag="authenticated"):
    """The client is known as ``username`` until ``expires_at`` (seconds since 1970); empty when its token is over."""

    username: str
    expires_at: int


class ErrorFrame(msgspec.Struct, tag_field="type", tag="error", omit_defaults=True):
    """Something was refused; ``id`` names the subscription it is about."""

    reason: str
    message: str
    id: str = ""


DEEPEST_NESTING: Final = 16  # the deepest message of the protocol has two levels

_STRINGS: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_decoder: Final = msgspec.json.Decoder(Message)
_encoder: Final = msgspec.json.Encoder()


def decode(text: str) -> Message:
    """A client's message; ``BadMessage`` when it is none.

    The decoder skips unknown fields and follows them as deep as the interpreter lets it, which differs by Python
    version; so the depth has a limit of its own.
    """
    if _is_deeper_than(text, DEEPEST_NESTING):
        raise BadMessage(f"The message has lists or objects within each other, more than {DEEPEST_NESTING} deep.")
    try:
        message: Message = _decoder.decode(text)
        check_names(text)
    except DuplicateName:
        raise BadMessage("A name is given twice in one object.") from None
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
    """The text of a frame."""
    return _encoder.encode(frame).decode()
