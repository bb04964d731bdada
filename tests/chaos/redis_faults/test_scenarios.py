"""Scenarios that every run of the tests plays; ``./partstream chaos redis --seeds 100`` plays more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.redis_faults.scenario import RedisStage, open_redis_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = range(8)


@pytest.fixture(scope="session")
def stage() -> Iterator[RedisStage]:
    with open_redis_stage() as opened:
        yield opened


@pytest.mark.parametrize("seed", SEEDS)
async def test_facts_survive_whatever_becomes_of_redis(stage: RedisStage, seed: int) -> None:
    outcome = await stage.play(seed)

    assert outcome.revisions > 0
