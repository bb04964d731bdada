"""Write many parts, for imports: one transaction, a few statements, a result for each part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import asyncpg

from chassis.caller import current_caller, require
from chassis.errors import FieldViolation, Overloaded, PartstreamError, PermissionMissing
from content_svc.convert.safe_html import sanitise
from content_svc.domain.part import Part, PartContent, deleted_part
from content_svc.domain.part_merge import changed_fields, changes_publication, merge_content, settable_fields
from content_svc.domain.part_rules import validate_part
from content_svc.domain.part_upsert import UpsertResult
from content_svc.domain.violations import field_invalid
from content_svc.errors import from_constraint
from content_svc.store.categories import lock_categories
from content_svc.store.parts import insert_parts, lock_parts, update_parts
from content_svc.store.write_transactions import Connection, WriteRequest, WriteResult, WriteTransactions

log = logging.getLogger(__name__)

# Another import can insert a part between the read and the insert: the next attempt then finds it.
_ATTEMPTS: Final = 3


async def upsert_parts(
    transactions: WriteTransactions,
    request: WriteRequest,
    wanted: Sequence[tuple[str, PartContent]],
    masks: Sequence[Collection[str]],
    encode: Callable[[Sequence[UpsertResult]], bytes],
) -> WriteResult[Sequence[UpsertResult]]:
    """Create parts, or write the masked fields of those that exist; return the results in the order given.

    ``masks`` has one mask per part; an empty one takes no field. A rejected part does not affect the others; a part
    without a difference is not written.
    """
    require("content:write")
    if len(masks) != len(wanted):
        raise field_invalid([FieldViolation("part_update_masks", "must be as many as parts")])
    for mask in {tuple(mask) for mask in masks}:
        settable_fields(mask)
    safe = [(part_id, sanitise(content)) for part_id, content in wanted]

    async def effect(connection: Connection) -> Sequence[UpsertResult]:
        return await _Batch(connection, safe, masks).run()

    return await transactions.run_once(request, effect, encode)


@dataclass(slots=True)
class _Changes:
    """What one attempt writes."""

    new: dict[str, PartContent] = field(default_factory=dict)
    updated: dict[str, PartContent] = field(default_factory=dict)
    images_of: set[str] = field(default_factory=set)

    def of(self, part_id: str) -> _Changes:
        """Return the change of one part."""
        return _Changes(
            {part_id: self.new[part_id]} if part_id in self.new else {},
            {part_id: self.updated[part_id]} if part_id in self.updated else {},
            self.images_of & {part_id},
        )


class _Batch:
    """One batch within its transaction."""

    def __init__(
        self, connection: Connection, wanted: Sequence[tuple[str, PartContent]], masks: Sequence[Collection[str]]
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._masks = masks
        self._results: dict[int, UpsertResult] = {}
        self._categories: set[str] = set()

    async def run(self) -> Sequence[UpsertResult]:
        places: dict[str, int] = {}
        for place, (part_id, _) in enumerate(self._wanted):
            if part_id in places:
                self._reject(place, part_id, field_invalid([FieldViolation("part_id", "is given twice in this batch")]))
            else:
                places[part_id] = place
        category_ids = {content.category_id.replace("\0", "") for _, content in self._wanted}
        self._categories = await lock_categories(self._connection, category_ids)
        for _ in range(_ATTEMPTS):
            places = {part_id: place for part_id, place in places.items() if place not in self._results}
            if not places:
                break
            await self._attempt(places)
        for part_id, place in places.items():
            if place not in self._results:
                self._reject(place, part_id, Overloaded("Conflict with other writes. Retry."))
        return [self._results[place] for place in range(len(self._wanted))]

    def _reject(self, place: int, part_id: str, error: PartstreamError, version: int = 0) -> None:
        self._results[place] = UpsertResult(part_id, "rejected", version, error)

    async def _attempt(self, places: Mapping[str, int]) -> None:
        """Lock the existing parts, decide each part, write."""
        existing = await lock_parts(self._connection, (part_id for part_id in places if "\0" not in part_id))
        changes = _Changes()
        for part_id, place in places.items():
            part = existing.get(part_id)
            try:
                content = self._decide(part_id, self._wanted[place][1], self._masks[place], part)
                differing = changed_fields(part.content, content) if part else ()
            except PartstreamError as error:
                self._reject(place, part_id, error, part.version if part else 0)
                continue
            if part is None:
                changes.new[part_id] = content
            elif differing:
                changes.updated[part_id] = content
                if "images" in differing:
                    changes.images_of.add(part_id)
            else:
                self._results[place] = UpsertResult(part_id, "unchanged", part.version)
        await self._write_all(places, changes)

    def _decide(self, part_id: str, wanted: PartContent, mask: Collection[str], present: Part | None) -> PartContent:
        """Return the content to store; raise the error that rejects it."""
        if present is None:
            content = replace(wanted, status=wanted.status or "draft")
        else:
            if present.deleted_at is not None:
                raise deleted_part(part_id)
            content = merge_content(present.content, wanted, mask) if mask else present.content
        validate_part(part_id, content, prefix="")
        if (present is None or present.content.category_id != content.category_id) and (
            content.category_id not in self._categories
        ):
            raise field_invalid([FieldViolation("category_id", f"the category {content.category_id!r} does not exist")])
        if changes_publication(present.content if present else None, content):
            _require_publish()
        return content

    async def _write_all(self, places: Mapping[str, int], changes: _Changes) -> None:
        """Write all parts with a few statements; when a constraint rejects one of them, write each by itself."""
        try:
            async with self._connection.transaction():
                await self._write(places, changes)
        except asyncpg.IntegrityConstraintViolationError as violation:
            log.info("batch rejected, writing part by part constraint=%s", violation.constraint_name)
            for part_id in sorted({**changes.new, **changes.updated}):
                await self._write_one(places, part_id, changes)

    async def _write_one(self, places: Mapping[str, int], part_id: str, changes: _Changes) -> None:
        try:
            async with self._connection.transaction():
                await self._write(places, changes.of(part_id))
        except asyncpg.IntegrityConstraintViolationError as violation:
            self._reject(places[part_id], part_id, from_constraint(violation))

    async def _write(self, places: Mapping[str, int], changes: _Changes) -> None:
        results: list[UpsertResult] = []
        if changes.updated:
            versions = await update_parts(self._connection, changes.updated, images_of=changes.images_of)
            results += [UpsertResult(part_id, "updated", version) for part_id, version in versions.items()]
        if changes.new:
            inserted = await insert_parts(self._connection, changes.new)
            results += [UpsertResult(part_id, "created", 1) for part_id in inserted]
        for result in results:
            self._results[places[result.part_id]] = result


def _require_publish() -> None:
    if not current_caller().may("content:publish"):
        message = "Publishing or hiding a part needs the permission content:publish."
        raise PermissionMissing(message, metadata={"permission": "content:publish"})
