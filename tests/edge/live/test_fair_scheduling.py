"""Sockets are woken in batches, so that other work runs between them."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from edge.live.fair_scheduling import FairScheduler


def futures(count: int) -> list[asyncio.Future[None]]:
    loop = asyncio.get_running_loop()
    return [loop.create_future() for _ in range(count)]


async def test_few_are_woken_at_once() -> None:
    scheduler = FairScheduler(sockets_a_round=2)
    sleepers = futures(2)

    for waiter in sleepers:
        scheduler.wake(waiter)

    assert all(waiter.done() for waiter in sleepers)


async def test_other_work_runs_between_batches_and_no_socket_is_woken_twice() -> None:
    scheduler = FairScheduler(sockets_a_round=10)
    sleepers = futures(100)
    awake: list[int] = []

    for waiter in sleepers * 3:
        scheduler.wake(waiter)
    while not awake or awake[-1] < len(sleepers):
        awake.append(sum(waiter.done() for waiter in sleepers))
        await asyncio.sleep(0)

    assert awake == list(range(10, 101, 10))


async def test_after_a_quiet_round_as_many_as_before_are_woken_at_once() -> None:
    scheduler = FairScheduler(sockets_a_round=1)
    first, second, third = futures(3)
    scheduler.wake(first)
    scheduler.wake(second)
    assert not second.done()
    await asyncio.wait_for(second, 5)
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    scheduler.wake(third)

    assert third.done()


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 4))
async def test_each_woken_socket_is_scheduled(order: list[int], at_once: int) -> None:
    scheduler = FairScheduler(at_once)
    sleepers = futures(10)

    for step, number in enumerate(order):
        scheduler.wake(sleepers[number])
        if step % 7 == 0:
            await asyncio.sleep(0)
            if sleepers[number].done():
                (sleepers[number],) = futures(1)
            scheduler.wake(sleepers[number])
    async with asyncio.timeout(5):
        for number in set(order):
            await sleepers[number]


async def test_disconnected_socket_takes_no_place_in_a_batch() -> None:
    scheduler = FairScheduler(sockets_a_round=1)
    first, gone, last = futures(3)
    for waiter in (first, gone, last):
        scheduler.wake(waiter)
    gone.cancel()

    await asyncio.sleep(0)

    assert first.done()
    assert last.done()
