"""A database was restored to an earlier state, and this process has not received that yet.

Once a read that showed the token of a lost write was answered with the restored value as if the write had never been.
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
    """Not asked by reads of one part: the cache's own loaders are."""
    return Services.__new__(Services)


def restore(edge: Edge) -> uuid.UUID:
    """The service begins a new epoch; answers the one that its watchers still follow."""
    lost = edge.shop.epochs[keys.INVENTORY]
    edge.shop.epochs[keys.INVENTORY] = uuid.uuid4()
    return lost


async def test_value_of_another_history_is_not_given_for_a_token_of_the_lost_one(edge: Edge, services: Any) -> None:
    lost = restore(edge)
    set_request_context(RequestContext(promised={keys.INVENTORY: lost}))

    with pytest.raises(EpochChanged):
        await CachedReads(edge.cache, services).stock("A", "")


async def test_without_a_token_it_is_given_with_the_token_of_its_own_history(edge: Edge, services: Any) -> None:
    restore(edge)
    context = RequestContext()
    set_request_context(context)

    read = await CachedReads(edge.cache, services).stock("A", "")

    told = cursors.decode(cursors.merge(*context.revisions))[keys.INVENTORY]
    assert read.stock.available == 100
    assert told.epoch == edge.shop.epochs[keys.INVENTORY]


async def test_what_was_held_before_is_still_true_for_the_lost_token(edge: Edge, services: Any) -> None:
    reads = CachedReads(edge.cache, services)
    await reads.stock("A", "")
    set_request_context(RequestContext(promised={keys.INVENTORY: restore(edge)}))

    assert (await reads.stock("A", "")).stock.available == 100
