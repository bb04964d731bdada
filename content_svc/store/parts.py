"""Parts in the database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from chassis.errors import ResourceRef
from content_svc.domain.part import Part, PartContent
from content_svc.errors import PartNotFound
from content_svc.sql import STATEMENTS
from content_svc.store import rows

if TYPE_CHECKING:
    from content_svc.store.write_transactions import Connection


def part_not_found(part_id: str) -> PartNotFound:
    """Return the error for a part that does not exist, or that the caller cannot see."""
    return PartNotFound(f"The part {part_id} does not exist.", resource=ResourceRef("part", part_id))


async def lock_part(connection: Connection, part_id: str) -> Part:
    """Lock a part until the commit and return it. Raise ``PartNotFound``."""
    part = (await lock_parts(connection, [part_id])).get(part_id)
    if part is None:
        raise part_not_found(part_id)
    return part


async def lock_parts(connection: Connection, part_ids: Iterable[str]) -> dict[str, Part]:
    """Lock the existing ones of some parts until the commit and return them by id, deleted parts included."""
    locked = await connection.fetch(STATEMENTS["lock_parts"], list(part_ids))
    if not locked:
        return {}
    found = await connection.fetch(STATEMENTS["select_parts"], [row["part_id"] for row in locked])
    return {row["part_id"]: rows.part_from_row(row) for row in found}


async def read_part(connection: Connection, part_id: str) -> Part:
    """Return a part as this transaction has written it."""
    row = await connection.fetchrow(STATEMENTS["select_parts"], [part_id])
    if row is None:
        raise part_not_found(part_id)
    return rows.part_from_row(row)


async def insert_parts(connection: Connection, parts: Mapping[str, PartContent]) -> set[str]:
    """Insert parts as version 1; return the ids inserted, without those that exist already."""
    inserted = await connection.fetch(STATEMENTS["insert_parts"], rows.parts_json(parts.items()))
    part_ids: set[str] = {row["part_id"] for row in inserted}
    with_images = [(part_id, parts[part_id]) for part_id in part_ids if parts[part_id].images]
    if with_images:
        await connection.execute(STATEMENTS["insert_images"], rows.images_json(with_images))
    return part_ids


async def update_parts(
    connection: Connection, parts: Mapping[str, PartContent], *, images_of: Collection[str]
) -> dict[str, int]:
    """Replace the content of locked parts, and the images of ``images_of``; return the new versions by id."""
    updated = await connection.fetch(STATEMENTS["update_parts"], rows.parts_json(parts.items()))
    if images_of:
        await connection.execute(STATEMENTS["delete_images"], list(images_of))
        changed = [(part_id, parts[part_id]) for part_id in images_of]
        await connection.execute(STATEMENTS["insert_images"], rows.images_json(changed))
    return {row["part_id"]: row["version"] for row in updated}
