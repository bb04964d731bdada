"""The rules of locations. That none is archived with stock in it is kept by the database, which sees every level."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chassis.errors import ResourceRef
from inventory_svc.domain.stock import Location
from inventory_svc.errors import LocationArchived, LocationExists, LocationNotFound

if TYPE_CHECKING:
    from inventory_svc.domain.book import Draft
    from inventory_svc.domain.intents import ArchiveLocation, CreateLocation


def create_location(draft: Draft, intent: CreateLocation) -> Location:
    """The new location."""
    if draft.location(intent.location_id) is not None:
        message = f"The location {intent.location_id} exists already."
        raise LocationExists(message, resource=ResourceRef("location", intent.location_id))
    return draft.change_location(Location(intent.location_id, intent.name))


def archive_location(draft: Draft, intent: ArchiveLocation) -> Location:
    """The location out of use."""
    location = draft.location(intent.location_id)
    reference = ResourceRef("location", intent.location_id)
    if location is None:
        message = f"There is no location {intent.location_id}."
        raise LocationNotFound(message, resource=reference)
    if location.archived_at is not None:
        message = f"The location {intent.location_id} is archived already."
        raise LocationArchived(message, current=location, resource=reference)
    return draft.change_location(replace(location, archived_at=draft.now))
