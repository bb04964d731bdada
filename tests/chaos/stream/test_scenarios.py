"""The scenarios of every test run; ``./partstream chaos stream --seeds 1000`` runs more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.chaos.stream.stage import Stage, open_stage

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = range(24)


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    with open_stage() as opened:
        yield opened


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_properties_of_the_stream_hold_under_faults(stage: Stage, seed: int) -> None:
    outcome = await stage.play(seed)

    assert outcome.messages > 0


@pytest.mark.parametrize("fault", ["hang_replica", "make_read_only", "fill_disk"])
async def test_the_service_recovers_from_each_condition_without_a_restart(stage: Stage, fault: str) -> None:
    outcome = await stage.play(1, fault)

    assert outcome.messages > 0
    assert outcome.acknowledged > 0
