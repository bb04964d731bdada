"""Write one part."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from changelog.if_match import present_epochs
from chassis.caller import require
from chassis.errors import FieldViolation, ResourceRef
from content_svc.convert.safe_html import sanitise
from content_svc.domain.part import Condition, Part, PartContent
from content_svc.domain.part_merge import changed_fields, changes_publication, merge_content
from content_svc.domain.part_rules import validate_part
from content_svc.domain.violations import field_invalid
from content_svc.errors import PartExists
from content_svc.store.categories import lock_categories
from content_svc.store.parts import insert_parts, lock_part, read_part, update_parts
from content_svc.store.write_transactions import Connection, WriteRequest, WriteResult, WriteTransactions


async def create_part(
    transactions: WriteTransactions,
    request: WriteRequest,
    part_id: str,
    wanted: PartContent,
    encode: Callable[[Part], bytes],
) -> WriteResult[Part]:
    """Create a part as version 1. Raise ``PartExists``, also for a deleted part: ids are never reused."""
    require("content:write")
    content = replace(sanitise(wanted), status=wanted.status or "draft")
    validate_part(part_id, content)
    if changes_publication(None, content):
        require("content:publish")

    async def effect(connection: Connection) -> Part:
        await _require_category(connection, content.category_id)
        if not await insert_parts(connection, {part_id: content}):
            raise PartExists(f"The part {part_id} exists already.", resource=ResourceRef("part", part_id))
        return await read_part(connection, part_id)

    return await transactions.run_once(request, effect, encode)


async def update_part_content_with_sync(
    transactions: WriteTransactions,
    request: WriteRequest,
    part_id: str,
    wanted: PartContent,
    encode: Callable[[Part], bytes],
    *,
    mask: Collection[str],
    condition: Condition,
) -> WriteResult[Part]:
    """Write the masked fields as one new version; without a difference no version is written.

    The commit also writes the change log, from which caches, browsers and the audit trail are synchronised.
    Raise ``VersionRequired``, ``VersionConflict`` with the present part, ``PartNotFound``, ``PartArchived`` for a
    deleted part, ``FieldInvalid``.
    """
    require("content:write")
    safe = sanitise(wanted)

    async def effect(connection: Connection) -> Part:
        present = await lock_part(connection, part_id)
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
            await _require_category(connection, content.category_id)
        await update_parts(connection, {part_id: content}, images_of={part_id} if "images" in changed else ())
        return await read_part(connection, part_id)

    return await transactions.run_once(request, effect, encode)


async def _require_category(connection: Connection, category_id: str) -> None:
    if not await lock_categories(connection, [category_id]):
        raise field_invalid([FieldViolation("part.category_id", f"the category {category_id!r} does not exist")])
