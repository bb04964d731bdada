"""Sockets are woken in rounds, so that everything else has its turn between them."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from edge.live.turns import Turns


async def test_few_are_woken_at_once() -> None:
    turns = Turns(sockets_a_round=2)
    sleepers = [asyncio.Event() for _ in range(2)]

    for sleeper in sleepers:
        turns.wake(sleeper)

    assert all(sleeper.is_set() for sleeper in sleepers)


async def test_something_else_runs_between_rounds_and_nobody_is_woken_twice() -> None:
    turns = Turns(sockets_a_round=10)
    sleepers = [asyncio.Event() for _ in range(100)]
    awake: list[int] = []

    for sleeper in sleepers * 3:
        turns.wake(sleeper)
    while not awake or awake[-1] < len(sleepers):
        awake.append(sum(sleeper.is_set() for sleeper in sleepers))
        await asyncio.sleep(0)

    assert awake == list(range(10, 101, 10))


async def test_after_a_quiet_round_as_many_as_before_are_woken_at_once() -> None:
    turns = Turns(sockets_a_round=1)
    first, second, third = asyncio.Event(), asyncio.Event(), asyncio.Event()
    turns.wake(first)
    turns.wake(second)
    assert not second.is_set()
    await asyncio.wait_for(second.wait(), 5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    turns.wake(third)

    assert third.is_set()


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 4))
async def test_whoever_is_woken_gets_its_turn(order: list[int], at_once: int) -> None:
    turns = Turns(at_once)
    sleepers = [asyncio.Event() for _ in range(10)]

    for step, number in enumerate(order):
        turns.wake(sleepers[number])
        if step % 7 == 0:
            await asyncio.sleep(0)
            sleepers[number].clear()
            turns.wake(sleepers[number])
    async with asyncio.timeout(5):
        for number in set(order):
            await sleepers[number].wait()
