"""Reads. Each returns domain objects and the revision they are as of, from one snapshot of the database."""

from __future__ import annotations

from content_svc.queries.categories import CategoryQueries
from content_svc.queries.parts import PartQueries


class Queries(PartQueries, CategoryQueries):
    """Every read of the service."""
