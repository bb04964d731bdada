"""Writes of one part or one category, each in a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import asyncpg

from changelog.if_match import present_epochs
from chassis.caller import require
from chassis.errors import FieldViolation, InternalFault, ResourceRef
from content_svc import rows
from content_svc.domain.category import Category, validate_category
from content_svc.domain.part import Condition, Part, PartContent
from content_svc.domain.part_merge import changed_fields, changes_publication, merge_content
from content_svc.domain.part_rules import validate_part
from content_svc.domain.violations import field_invalid
from content_svc.errors import CategoryExists, PartExists, PartNotFound
from content_svc.sanitise import sanitise
from content_svc.sql import reads
from content_svc.sql import writes as sql
from content_svc.writes import Answer, Command, Connection, Writes


async def create_part(
    writes: Writes, command: Command, part_id: str, wanted: PartContent, encode: Callable[[Part], bytes]
) -> Answer[Part]:
    """Add a part as version 1. Raises ``PartExists``, also for a deleted part: an id is never used twice."""
    require("content:write")
    content = replace(sanitise(wanted), status=wanted.status or "draft")
    validate_part(part_id, content)
    if changes_publication(None, content):
        require("content:publish")

    async def effect(connection: Connection) -> Part:
        await require_categories(connection, content.category_id)
        inserted = await connection.fetch(sql.INSERT_PARTS, rows.parts_json([(part_id, content)]))
        if not inserted:
            message = f"There is a part {part_id} already."
            raise PartExists(message, resource=ResourceRef("part", part_id))
        if content.images:
            await connection.execute(sql.INSERT_IMAGES, rows.images_json([(part_id, content)]))
        return await read_part(connection, part_id)

    return await writes.once(command, effect, encode)


async def update_part(
    writes: Writes,
    command: Command,
    part_id: str,
    wanted: PartContent,
    encode: Callable[[Part], bytes],
    *,
    mask: Collection[str],
    condition: Condition,
) -> Answer[Part]:
    """Change the masked fields as one new version; a change that changes nothing leaves the part as it is.

    Raises ``VersionRequired``, ``VersionConflict`` with the present part, ``PartNotFound``, ``PartArchived`` for a
    deleted part, ``FieldInvalid``.
    """
    require("content:write")
    safe = sanitise(wanted)

    async def effect(connection: Connection) -> Part:
        await connection.execute(sql.LOCK_PARTS, [part_id])
        present = await read_part(connection, part_id)
        epochs = frozenset() if condition.if_match is None else await present_epochs(connection)
        present.check_writable(replace(condition, epochs=epochs))
        content = merge_content(present.content, safe, mask)
        validate_part(part_id, content)
        if changes_publication(present.content, content):
            require("content:publish")
        changed = changed_fields(present.content, content)
        if not changed:
            return present
        if "category_id" in changed:
            await require_categories(connection, content.category_id)
        await write_changes(connection, [(part_id, content)], images_of={part_id} if "images" in changed else set())
        return await read_part(connection, part_id)

    return await writes.once(command, effect, encode)


async def create_category(
    writes: Writes, command: Command, category: Category, encode: Callable[[Category], bytes]
) -> Answer[Category]:
    """Add a category. Raises ``CategoryExists``; ``FieldInvalid`` also when the parent does not exist."""
    require("content:write")
    validate_category(category)

    async def effect(connection: Connection) -> Category:
        try:
            await connection.execute(
                sql.INSERT_CATEGORY, category.category_id, category.parent_id, category.name, category.position
            )
        except asyncpg.UniqueViolationError as error:
            message = f"There is a category {category.category_id} already."
            raise CategoryExists(message, resource=ResourceRef("category", category.category_id)) from error
        row = await connection.fetchrow(reads.CATEGORY_BY_ID, category.category_id)
        if row is None:
            raise InternalFault(f"The category {category.category_id} vanished while it was written.")
        return rows.category_from_row(row)

    return await writes.once(command, effect, encode)


async def read_part(connection: Connection, part_id: str) -> Part:
    """The part as this transaction sees it."""
    row = await connection.fetchrow(reads.PARTS_BY_ID, [part_id])
    if row is None:
        raise PartNotFound(f"There is no part {part_id}.", resource=ResourceRef("part", part_id))
    return rows.part_from_row(row)


async def require_categories(connection: Connection, category_id: str) -> None:
    """Hold the category until the commit; ``FieldInvalid`` when it is not there."""
    if not await connection.fetch(sql.LOCK_CATEGORIES, [category_id]):
        raise field_invalid([FieldViolation("part.category_id", f"there is no category {category_id!r}")])


async def write_changes(
    connection: Connection, parts: Collection[tuple[str, PartContent]], *, images_of: Collection[str]
) -> dict[str, int]:
    """Store new content of parts that are locked, replacing the pictures where they differ; answers their versions."""
    updated = await connection.fetch(sql.UPDATE_PARTS, rows.parts_json(parts))
    if images_of:
        await connection.execute(sql.DELETE_IMAGES, list(images_of))
        await connection.execute(sql.INSERT_IMAGES, rows.images_json(item for item in parts if item[0] in images_of))
    return {row["part_id"]: row["version"] for row in updated}
