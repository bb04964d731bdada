"""A part: what it says, which version that is, and what the public may see of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Literal, TypeAlias

from chassis.errors import ResourceRef, VersionConflict, VersionRequired
from content_svc.errors import PartArchived

Scalar: TypeAlias = str | int | float | bool | None
Status: TypeAlias = Literal["draft", "published", "archived"]


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in the minor unit of a currency."""

    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class PriceBreak:
    """The unit price from a quantity on, as an exact decimal text in major units."""

    from_quantity: int
    unit_price: str


@dataclass(frozen=True, slots=True)
class Image:
    """One picture. A size of 0 is unknown."""

    url: str
    alt: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartContent:
    """All that a caller may set. A ``status`` of ``None``, in requests, leaves the present one."""

    category_id: str
    title: str
    summary: str = ""
    description: str = ""
    specifications: Mapping[str, Scalar] = field(default_factory=dict)
    images: tuple[Image, ...] = ()
    price: Money | None = None
    price_breaks: tuple[PriceBreak, ...] = ()
    cost: Money | None = None
    status: Status | None = None
    mpn: str = ""
    manufacturer: str = ""
    datasheet_url: str = ""


CONTENT_FIELDS = tuple(item.name for item in fields(PartContent))


@dataclass(frozen=True, slots=True)
class Author:
    """Who wrote a version."""

    user_id: str
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What a writer says of the version that it replaces.

    ``if_match`` holds states (epoch, version) of which one must be the present one; ``epochs`` are the names of the
    log's present epoch.
    """

    expected_version: int | None = None
    unconditional: bool = False
    if_match: frozenset[tuple[str, int]] | None = None
    epochs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part as it is stored."""

    part_id: str
    content: PartContent
    version: int
    published_version: int
    created_at: datetime
    updated_at: datetime
    updated_by: Author | None
    deleted_at: datetime | None = None
    category_path: tuple[str, ...] = ()

    @property
    def is_public(self) -> bool:
        """Whether everyone may see it."""
        return self.content.status == "published" and self.deleted_at is None

    def check_writable(self, condition: Condition) -> None:
        """Raise unless the part is live and the caller saw this version, or said that it does not matter."""
        if self.deleted_at is not None:
            message = f"The part {self.part_id} is deleted; undelete it first."
            raise PartArchived(message, resource=ResourceRef("part", self.part_id), metadata={"state": "deleted"})
        if condition.if_match is not None:
            if not any((epoch, self.version) in condition.if_match for epoch in condition.epochs):
                message = f"No entity tag in If-Match matches: the part {self.part_id} is at version {self.version}."
                raise self._conflict(message, epoch=max(condition.epochs, default=""))
        elif condition.expected_version is None and not condition.unconditional:
            message = "Say which version this replaces (expected_version), or that it does not matter (unconditional)."
            raise VersionRequired(message, resource=ResourceRef("part", self.part_id))
        if condition.expected_version not in {None, self.version}:
            message = f"Version {condition.expected_version} was expected, but version {self.version} is there now."
            raise self._conflict(message)

    def _conflict(self, message: str, **facts: str) -> VersionConflict:
        return VersionConflict(
            message,
            current=self,
            metadata={
                "current_version": str(self.version),
                "changed_by": self.updated_by.username if self.updated_by else "",
                "changed_at": self.updated_at.isoformat().replace("+00:00", "Z"),
                **facts,
            },
        )
