"""``If-Match``: a write is rejected unless the current state is one of those that its caller accepts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from inventory_svc.domain import commands
from inventory_svc.domain.stock import none_matches

if TYPE_CHECKING:
    from inventory_svc.domain.unit_of_work import RequestChanges


def require_match(changes: RequestChanges, command: commands.Command) -> commands.Command:
    """Return the command with the matched version as its expected one. Raise ``VersionConflict`` when none matches.

    A missing level is left to the rule of the command, which rejects it, unless the command would create the level.
    """
    match command:
        case (
            commands.SetStock()
            | commands.AdjustStock()
            | commands.ArchiveStock()
            | commands.RestoreStock()
            | commands.SetReorderPoint()
        ) if command.if_match is not None:
            level = changes.level(command.key)
            if level is None and not isinstance(command, commands.SetStock):
                return command
            version = 0 if level is None else level.version
            if not any((epoch, version) in command.if_match for epoch in changes.unit_of_work.epochs):
                raise none_matches(command.key, level, changes.unit_of_work.epochs)
            return command if command.expected_version is not None else replace(command, expected_version=version)
        case _:
            return command
