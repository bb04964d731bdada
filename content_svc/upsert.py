"""Many parts at once, for imports: one transaction, a few statements, and a result for each part."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import asyncpg

from chassis.caller import current_caller, require
from chassis.errors import FieldViolation, Overloaded, PartstreamError, PermissionMissing, ResourceRef
from content_svc import rows
from content_svc.commands import write_changes
from content_svc.domain.part import Part, PartContent
from content_svc.domain.part_merge import changed_fields, changes_publication, merge_content, settable_fields
from content_svc.domain.part_rules import validate_part
from content_svc.domain.part_upsert import UpsertResult
from content_svc.domain.violations import field_invalid
from content_svc.errors import PartArchived, from_constraint
from content_svc.sanitise import sanitise
from content_svc.sql import reads
from content_svc.sql import writes as sql
from content_svc.writes import Answer, Command, Connection, Writes

log = logging.getLogger(__name__)

# Another import may create a part between our look and our insert: then we look again, and it is there.
_LOOKS = 3


async def upsert_parts(
    writes: Writes,
    command: Command,
    wanted: Sequence[tuple[str, PartContent]],
    masks: Sequence[Collection[str]],
    encode: Callable[[Sequence[UpsertResult]], bytes],
) -> Answer[Sequence[UpsertResult]]:
    """Create parts, or change the masked fields of those that exist; results in the order given.

    ``masks`` has one mask for each part; one without paths takes nothing. A part that is refused leaves the others
    alone; one that is as it should be already is not written.
    """
    require("content:write")
    if len(masks) != len(wanted):
        raise field_invalid([FieldViolation("part_update_masks", "must be as many as parts")])
    for mask in {tuple(mask) for mask in masks}:
        settable_fields(mask)
    safe = [(part_id, sanitise(content)) for part_id, content in wanted]

    async def effect(connection: Connection) -> Sequence[UpsertResult]:
        batch = _Batch(connection, safe, masks)
        return await batch.run()

    return await writes.once(command, effect, encode)


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
        """The results, one per part, in order."""
        places: dict[str, int] = {}
        for place, (part_id, _) in enumerate(self._wanted):
            if part_id in places:
                self._refuse(place, part_id, field_invalid([FieldViolation("part_id", "is given twice in this batch")]))
            else:
                places[part_id] = place
        found = await self._connection.fetch(
            sql.LOCK_CATEGORIES, sorted({content.category_id.replace("\0", "") for _, content in self._wanted})
        )
        self._categories = {row["category_id"] for row in found}
        for _ in range(_LOOKS):
            places = {part_id: place for part_id, place in places.items() if place not in self._results}
            if not places:
                break
            await self._look_and_write(places)
        for part_id, place in places.items():
            if place not in self._results:
                self._refuse(place, part_id, Overloaded("Other writes were in the way each time: try again."))
        return [self._results[place] for place in range(len(self._wanted))]

    def _refuse(self, place: int, part_id: str, error: PartstreamError, version: int = 0) -> None:
        self._results[place] = UpsertResult(part_id, "refused", version, error)

    async def _look_and_write(self, places: dict[str, int]) -> None:
        """Lock what is there, sort the wanted parts into new and changed ones, write both."""
        present = await self._lock(places)
        new: dict[str, PartContent] = {}
        changed: dict[str, PartContent] = {}
        images_of: set[str] = set()
        for part_id, place in places.items():
            content = self._wanted[place][1]
            part = present.get(part_id)
            try:
                merged = self._checked(part_id, content, self._masks[place], part)
                differing = changed_fields(part.content, merged) if part else ()
            except PartstreamError as error:
                self._refuse(place, part_id, error, part.version if part else 0)
                continue
            if part is None:
                new[part_id] = merged
            elif differing:
                changed[part_id] = merged
                if "images" in differing:
                    images_of.add(part_id)
            else:
                self._results[place] = UpsertResult(part_id, "unchanged", part.version)
        await self._write_all(places, new, changed, images_of)

    async def _lock(self, part_ids: Iterable[str]) -> dict[str, Part]:
        asked = [part_id for part_id in part_ids if "\0" not in part_id]
        locked = await self._connection.fetch(sql.LOCK_PARTS, asked)
        if not locked:
            return {}
        found = await self._connection.fetch(reads.PARTS_BY_ID, [row["part_id"] for row in locked])
        return {row["part_id"]: rows.part_from_row(row) for row in found}

    def _checked(self, part_id: str, wanted: PartContent, mask: Collection[str], present: Part | None) -> PartContent:
        """The content to store; raises what refuses it."""
        if present is None:
            content = replace(wanted, status=wanted.status or "draft")
        else:
            if present.deleted_at is not None:
                message = "The part is deleted; undelete it first."
                raise PartArchived(message, resource=ResourceRef("part", part_id), metadata={"state": "deleted"})
            content = merge_content(present.content, wanted, mask) if mask else present.content
        validate_part(part_id, content, prefix="")
        if (present is None or present.content.category_id != content.category_id) and (
            content.category_id not in self._categories
        ):
            raise field_invalid([FieldViolation("category_id", f"there is no category {content.category_id!r}")])
        if changes_publication(present.content if present else None, content):
            _require_publish()
        return content

    async def _write_all(
        self, places: dict[str, int], new: dict[str, PartContent], changed: dict[str, PartContent], images_of: set[str]
    ) -> None:
        """All in a few statements; if the database refuses one of the parts, each for itself."""
        try:
            async with self._connection.transaction():
                await self._write(places, new, changed, images_of)
        except asyncpg.IntegrityConstraintViolationError as refusal:
            log.info("the database refused a part of a batch (%s): writing one by one", refusal.constraint_name)
            for part_id in sorted({**new, **changed}):
                await self._write_alone(places, part_id, new, changed, images_of)

    async def _write_alone(
        self,
        places: dict[str, int],
        part_id: str,
        new: dict[str, PartContent],
        changed: dict[str, PartContent],
        images_of: set[str],
    ) -> None:
        try:
            async with self._connection.transaction():
                await self._write(
                    places,
                    {part_id: new[part_id]} if part_id in new else {},
                    {part_id: changed[part_id]} if part_id in changed else {},
                    images_of & {part_id},
                )
        except asyncpg.IntegrityConstraintViolationError as refusal:
            self._refuse(places[part_id], part_id, from_constraint(refusal))

    async def _write(
        self, places: dict[str, int], new: dict[str, PartContent], changed: dict[str, PartContent], images_of: set[str]
    ) -> None:
        done: list[UpsertResult] = []
        if changed:
            versions = await write_changes(self._connection, list(changed.items()), images_of=images_of)
            done += [UpsertResult(part_id, "updated", version) for part_id, version in versions.items()]
        if new:
            inserted = await self._connection.fetch(sql.INSERT_PARTS, rows.parts_json(new.items()))
            made = {row["part_id"] for row in inserted}
            pictured = [(part_id, new[part_id]) for part_id in made if new[part_id].images]
            if pictured:
                await self._connection.execute(sql.INSERT_IMAGES, rows.images_json(pictured))
            done += [UpsertResult(part_id, "created", 1) for part_id in made]
        for result in done:
            self._results[places[result.part_id]] = result


def _require_publish() -> None:
    if not current_caller().may("content:publish"):
        message = "You are not allowed to publish or hide parts."
        raise PermissionMissing(message, metadata={"permission": "content:publish"})
