"""A part: its content, its version, and whether it is public."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Literal, TypeAlias

from chassis.errors import ConcurrencyError, ResourceRef, VersionRequired
from chassis.optimistic_locking import OptimisticLockingMixin
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
    """The unit price from a quantity on: a decimal number in major units, as text."""

    from_quantity: int
    unit_price: str


@dataclass(frozen=True, slots=True)
class Image:
    """One image. A width or height of 0 is unknown."""

    url: str
    alt: str = ""
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class PartContent:
    """All fields that a caller can set. A ``status`` of ``None``, in requests, keeps the present one."""

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
    """The user who wrote a version."""

    user_id: str
    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The precondition of a write on the version that it replaces.

    ``if_match`` holds states (epoch, version), one of which must be the present one; ``epochs`` are the names of the
    change log's present epoch.
    """

    expected_version: int | None = None
    unconditional: bool = False
    if_match: frozenset[tuple[str, int]] | None = None
    epochs: frozenset[str] = frozenset()


def deleted_part(part_id: str) -> PartArchived:
    """Return the error for a write to a deleted part."""
    message = f"The part {part_id} is deleted. Restore it first."
    return PartArchived(message, resource=ResourceRef("part", part_id), metadata={"state": "deleted"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part(OptimisticLockingMixin):
    """A part as stored."""

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
        """Whether any client can read it."""
        return self.content.status == "published" and self.deleted_at is None

    def check_writable(self, condition: Condition) -> None:
        """Raise unless the part is live and the precondition holds."""
        if self.deleted_at is not None:
            raise deleted_part(self.part_id)
        if condition.if_match is not None:
            if not any((epoch, self.version) in condition.if_match for epoch in condition.epochs):
                message = f"No entity tag in If-Match matches: the part {self.part_id} is at version {self.version}."
                raise self._conflict(message, epoch=max(condition.epochs, default=""))
        elif condition.expected_version is None and not condition.unconditional:
            message = "The write needs a precondition: set expected_version, if_match or unconditional."
            raise VersionRequired(message, resource=ResourceRef("part", self.part_id))
        self.check_version(condition.expected_version)

    def version_conflict(self, expected: int) -> ConcurrencyError:
        """Return the error for a stale version, with the part and who changed it."""
        return self._conflict(f"Version {expected} was expected, but the part is at version {self.version}.")

    def _conflict(self, message: str, **facts: str) -> ConcurrencyError:
        return ConcurrencyError(
            message,
            current=self,
            metadata={
                "current_version": str(self.version),
                "changed_by": self.updated_by.username if self.updated_by else "",
                "changed_at": self.updated_at.isoformat().replace("+00:00", "Z"),
                **facts,
            },
        )
