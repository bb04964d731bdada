"""The rules of locations. The database rejects the archiving of a location with stock: only it has every level."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chassis.errors import ResourceRef
from inventory_svc.domain.stock import Location
from inventory_svc.errors import LocationArchived, LocationExists, LocationNotFound

if TYPE_CHECKING:
    from inventory_svc.domain.commands import ArchiveLocation, CreateLocation
    from inventory_svc.domain.unit_of_work import RequestChanges


def create_location(changes: RequestChanges, command: CreateLocation) -> Location:
    """Return the new location."""
    if changes.location(command.location_id) is not None:
        message = f"The location {command.location_id} exists already."
        raise LocationExists(message, resource=ResourceRef("location", command.location_id))
    return changes.change_location(Location(command.location_id, command.name))


def archive_location(changes: RequestChanges, command: ArchiveLocation) -> Location:
    """Return the archived location."""
    location = changes.location(command.location_id)
    reference = ResourceRef("location", command.location_id)
    if location is None:
        message = f"There is no location {command.location_id}."
        raise LocationNotFound(message, resource=reference)
    if location.archived_at is not None:
        message = f"The location {command.location_id} is archived already."
        raise LocationArchived(message, current=location, resource=reference)
    return changes.change_location(replace(location, archived_at=changes.now))
