"""`./partstream bench stream`: the change stream's figures, each beside what was asked of it."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import time
from typing import TYPE_CHECKING

from loadtests.bench.streaming import catch_up, fan_out, latency, memory, write_path
from loadtests.bench.streaming.rig import SEED, open_rig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from loadtests.bench.streaming.rig import Rig

Rows = list[tuple[str, str, str, bool | None]]  # figure, measured, asked, kept


async def _latency(rig: Rig, scale: float) -> Rows:
    rows: Rows = []
    for rate, burst in ((1000, 10), (20, 1)):
        seconds = 15 * scale
        bare = await latency.measure_bare(rig, rate, burst, seconds)
        hop = await latency.measure_follower(rig, rate, burst, seconds)
        shape = f"{rate:,} changes/s, {burst} a commit"
        rows += [
            (f"bare hop, {shape}", f"median {bare.median:.2f} ms, p99 {bare.p99:.2f} ms", "", None),
            (
                f"commit → applied elsewhere, {shape}",
                f"median {hop.median:.2f} ms = {hop.median / bare.median:.1f} x bare",
                "≤ 2 x bare",
                hop.median <= 2 * bare.median,
            ),
            (
                "",
                f"p99 {hop.p99:.2f} ms = {hop.p99 / hop.median:.1f} x its median",
                "≤ 10 x",
                hop.p99 <= 10 * hop.median,
            ),
        ]
    return rows


async def _fan_out(rig: Rig, scale: float) -> Rows:
    changes = int(20_000 * scale) // 20 * 20
    plain = await fan_out.measure_one_by_one(rig, changes // 10)
    ours = await fan_out.measure_watchers(rig, changes)
    ratio = ours.deliveries_per_second / plain.deliveries_per_second
    return [
        (
            f"{fan_out.WATCHERS} streams, a message per change",
            f"{plain.deliveries_per_second:,.0f} deliveries/s",
            "",
            None,
        ),
        (
            f"{fan_out.WATCHERS} watchers of everything",
            f"{ours.deliveries_per_second:,.0f} deliveries/s = {ratio:.1f} x, {ours.mbytes_per_second:.0f} MB/s",
            "≥ 5 x",
            ratio >= 5,
        ),
        ("", f"{ours.server_cpu_us_per_delivery:.2f} µs of the service per change and watcher", "", None),
    ]


async def _write_path(rig: Rig, scale: float) -> Rows:
    without, watched = await write_path.measure(rig, 5 * scale, 3)
    ratio = watched / without
    return [
        ("writes without watchers", f"{without:,.0f}/s", "", None),
        (f"writes with {fan_out.WATCHERS} watchers", f"{watched:,.0f}/s = {ratio:.2f} x", "≥ 0.85 x", ratio >= 0.85),
    ]


async def _catch_up(rig: Rig, scale: float) -> Rows:
    changes = int(100_000 * scale) // 20 * 20
    await rig.execute(fan_out.STORM.format(transactions=(changes + 120_000) // 20))
    found = await catch_up.measure(rig, changes + 100_000)
    return [
        (
            "cold follower catches up",
            f"{found.followed_per_second:,.0f} changes/s applied, {found.read_per_second:,.0f}/s read raw",
            "≥ 50,000/s",
            found.followed_per_second >= 50_000,
        ),
        ("", f"{found.server_cpu_us:.1f} µs of the service per change", "", None),
    ]


async def _memory(rig: Rig, scale: float) -> Rows:
    watches = int(20_000 * scale)
    cost = await memory.measure_idle(rig, int(1_000 * scale))
    early, half, end = await memory.measure_soak(rig, watches)
    flat = end - half <= 2 * 1024
    return [
        ("an idle watcher", f"{cost:.1f} KiB", "≤ 50 KiB", cost <= 50),
        (
            f"{watches:,} watches opened and cancelled",
            f"{early / 1024:.1f} MiB → {half / 1024:.1f} → {end / 1024:.1f} MiB after a tenth, half, all",
            "flat",
            flat,
        ),
    ]


async def _snapshot(rig: Rig, scale: float) -> Rows:
    levels = int(1_000_000 * scale)
    for first in range(1, levels + 1, 5000):
        await rig.execute(SEED.replace("'part-'", "'more-'"), first, min(first + 4999, levels))
    count, seconds, most = await memory.measure_snapshot(rig)
    return [
        (
            f"snapshot of {count:,} levels",
            f"{seconds:.1f} s, {count / seconds:,.0f}/s, the service grew by {most / 1024:.1f} MiB at most",
            "flat",
            most <= 32 * 1024,
        )
    ]


PARTS: dict[str, Callable[[Rig, float], Awaitable[Rows]]] = {
    "latency": _latency,
    "fan-out": _fan_out,
    "write-path": _write_path,
    "catch-up": _catch_up,
    "memory": _memory,
    "snapshot": _snapshot,
}


def run(given: argparse.Namespace) -> int:
    """Measure; 1 when a figure is not what was asked."""
    rows = asyncio.run(_measure(given.part or list(PARTS), given.scale))
    _say(_table(rows))
    return 1 if any(kept is False for *_, kept in rows) else 0


async def _measure(parts: list[str], scale: float) -> Rows:
    load = os.getloadavg()[0]
    rows: Rows = [
        (
            "machine",
            f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, load before {load:.1f}",
            "",
            None,
        )
    ]
    for part in parts:
        began = time.monotonic()
        async with open_rig() as rig:  # each on a database and a service of its own
            rows += await PARTS[part](rig, scale)
        print(f"{part}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows


def _table(rows: Rows) -> str:
    marks = {True: "kept", False: "MISSED", None: ""}
    lines = ["| figure | measured | asked | |", "|---|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {value} | {asked} | {marks[kept]} |" for name, value, asked, kept in rows])


def _say(text: str) -> None:
    print(text)
