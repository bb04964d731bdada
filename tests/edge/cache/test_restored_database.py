"""Reads after a restore of a database, before this process has received the new epoch.

A read with the token of a lost write must not return the restored value, as if the write had never happened.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from changelog import cursor as cursors
from chassis.errors import EpochChanged
from edge.cache import keys
from edge.cache.reads import CachedReads
from edge.http.request_context import RequestContext, set_request_context
from edge.upstream.clients import Services
from tests.edge.cache.conftest import Edge


@pytest.fixture
def services() -> Any:
    """No upstream clients: reads of one part use the loaders of the cache."""
    return Services.__new__(Services)


def restore(edge: Edge) -> uuid.UUID:
    """Begin a new epoch; return the previous one, which the watchers still follow."""
    lost = edge.shop.epochs[keys.INVENTORY]
    edge.shop.epochs[keys.INVENTORY] = uuid.uuid4()
    return lost


async def test_a_value_of_the_new_epoch_is_not_returned_for_a_token_of_the_previous_one(
    edge: Edge, services: Any
) -> None:
    lost = restore(edge)
    set_request_context(RequestContext(promised={keys.INVENTORY: lost}))

    with pytest.raises(EpochChanged):
        await CachedReads(edge.cache, services).stock("A", "")


async def test_without_a_token_the_value_is_returned_with_the_token_of_its_epoch(edge: Edge, services: Any) -> None:
    restore(edge)
    context = RequestContext()
    set_request_context(context)

    read = await CachedReads(edge.cache, services).stock("A", "")

    returned = cursors.decode(cursors.merge(*context.revisions))[keys.INVENTORY]
    assert read.stock.available == 100
    assert returned.epoch == edge.shop.epochs[keys.INVENTORY]


async def test_a_value_cached_before_the_restore_is_still_valid_for_the_previous_token(
    edge: Edge, services: Any
) -> None:
    reads = CachedReads(edge.cache, services)
    await reads.stock("A", "")
    set_request_context(RequestContext(promised={keys.INVENTORY: restore(edge)}))

    assert (await reads.stock("A", "")).stock.available == 100
