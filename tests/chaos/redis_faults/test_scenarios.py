"""The scenarios of every test run; ``./partstream chaos redis --seeds 100`` runs more."""

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
async def test_no_fact_is_lost_when_redis_fails(stage: RedisStage, seed: int) -> None:
    outcome = await stage.play(seed)

    assert outcome.revisions > 0
