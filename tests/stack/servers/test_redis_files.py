"""A Redis server starts whatever has become of its files; what it could not read is kept aside.

After a disk had been full, a damaged append-only file kept the whole stack from starting until somebody deleted it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest
import redis

from stack.errors import ServerUnavailable
from stack.servers import redis_files
from stack.servers.ports import free_port
from stack.servers.redis import SERVER_NAMES, WHEEL, EmbeddedRedis, find_server
from stack.servers.redis_files import MOST_QUARANTINED, quarantined
from tests.harness.redis_damage import DAMAGES, damage_manifest, damage_middle, newest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEYS = 500
PASSWORD = "a-password"


def servers() -> list[str]:
    """Every server that the product may start here: the wheel's, and those on PATH."""
    return [WHEEL, *(name for name in SERVER_NAMES if shutil.which(name))]


@pytest.fixture(params=servers())
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The binary."""
    if request.param == WHEEL:
        monkeypatch.setattr("stack.servers.redis.SERVER_NAMES", ())
    else:
        monkeypatch.setattr("stack.servers.redis.SERVER_NAMES", (request.param,))
    found = find_server()
    assert found is not None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "redis"


@pytest.fixture
def stored(folder: Path, server: Path) -> EmbeddedRedis:
    """A stopped server whose files hold keys: a base file and an append-only file beside it, or one of both."""
    made = EmbeddedRedis(folder, server=server, password=PASSWORD)
    with redis.Redis.from_url(made.start()) as client:
        client.mset({f"key-{number}": "x" * 40 for number in range(KEYS)})
        client.bgrewriteaof()
        while client.info("persistence")["aof_rewrite_in_progress"]:
            pass
        for number in range(KEYS):
            client.set(f"later-{number}", "y" * 40)
    made.stop()
    return made


def forbid(folder: Path) -> None:
    next(folder.rglob("*.manifest")).chmod(0)


def count(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        client.set("works", "1")
        client.delete("works")
        size: int = client.dbsize()
        return size


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_server_that_cannot_read_its_files_starts_empty(
    stored: EmbeddedRedis, folder: Path, damage: Callable[[Path], None]
) -> None:
    damage(folder)

    url = stored.start()

    try:
        assert count(url) == 0
        (kept,) = quarantined(folder)
        assert kept.parent == folder.parent
    finally:
        stored.stop()
    # The next start reads what was written since.
    with redis.Redis.from_url(stored.start()) as client:
        client.set("kept", "1")
    stored.stop()
    with redis.Redis.from_url(stored.start()) as client:
        assert client.get("kept") == b"1"
    stored.stop()
    assert quarantined(folder) == [kept]


def test_a_last_entry_that_was_cut_off_costs_only_itself(stored: EmbeddedRedis, folder: Path) -> None:
    path = newest(folder, "*.incr.aof")
    path.write_bytes(path.read_bytes()[:-10])

    url = stored.start()

    try:
        assert count(url) == 2 * KEYS - 1
        assert quarantined(folder) == []
    finally:
        stored.stop()


def test_files_that_the_user_may_not_read_are_moved_aside(stored: EmbeddedRedis, folder: Path) -> None:
    forbid(folder)

    url = stored.start()

    try:
        # Root may read everything; anyone else may not.
        assert (count(url), len(quarantined(folder))) in {(0, 1), (2 * KEYS, 0)}
    finally:
        stored.stop()


def test_only_the_newest_quarantines_are_kept(stored: EmbeddedRedis, folder: Path) -> None:
    names = []
    for _ in range(MOST_QUARANTINED + 2):
        stored.start()
        stored.stop()
        damage_manifest(folder)
        stored.start()
        stored.stop()
        names.append(quarantined(folder)[-1].name)

    assert [path.name for path in quarantined(folder)] == names[-MOST_QUARANTINED:]


@pytest.fixture
def occupied() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_in_use_is_no_reason_to_touch_files(stored: EmbeddedRedis, folder: Path, occupied: int) -> None:
    before = sorted(folder.rglob("*"))

    with pytest.raises(ServerUnavailable):
        stored.start(occupied)

    assert quarantined(folder) == []
    assert sorted(folder.rglob("*")) == before
    assert count(stored.start()) == 2 * KEYS
    stored.stop()


def test_the_port_of_another_server_of_the_stack_is_not_taken_for_ready(
    stored: EmbeddedRedis, folder: Path, server: Path, tmp_path: Path
) -> None:
    other, port = EmbeddedRedis(tmp_path / "other", server=server, password=PASSWORD), free_port()
    other.start(port)

    with pytest.raises(ServerUnavailable):
        stored.start(port)

    other.stop()
    assert quarantined(folder) == []


def wrapper(path: Path, server: Path, lines: str) -> Path:
    """A server that runs under limits."""
    path.write_text(f'#!/bin/sh\n{lines}\nexec "{server}" "$@"\n')
    path.chmod(0o755)
    return path


def test_short_memory_is_no_reason_to_touch_files(stored: EmbeddedRedis, folder: Path, server: Path) -> None:
    with redis.Redis.from_url(stored.start()) as client:
        for number in range(30):
            client.set(f"large-{number}", "z" * 4_000_000)
    stored.stop()
    short = wrapper(folder.parent / "short", server, "ulimit -v 150000")
    limited = EmbeddedRedis(folder, server=short, password=PASSWORD)

    with pytest.raises(ServerUnavailable):
        limited.start()

    assert quarantined(folder) == []
    assert count(stored.start()) == 2 * KEYS + 30
    stored.stop()


@pytest.mark.parametrize("code", [-9, -15, None])
def test_a_server_that_was_ended_says_nothing_of_its_files(stored: EmbeddedRedis, folder: Path, code: int) -> None:
    damage_middle(folder)

    assert stored.remedy(free_port(), code, []) is None
    assert quarantined(folder) == []


def test_without_room_for_files_the_server_starts_in_memory(folder: Path, server: Path) -> None:
    full = wrapper(folder.parent.parent / "full", server, "trap '' XFSZ\nulimit -f 0")
    made = EmbeddedRedis(folder, server=full, password=PASSWORD)

    url = made.start()

    try:
        assert count(url) == 0
        assert quarantined(folder) == []
    finally:
        made.stop()


def test_an_unchanged_configuration_is_not_written(stored: EmbeddedRedis, folder: Path) -> None:
    """With a full disk there is no room for it."""
    port = free_port()
    stored.prepare(port)
    before = (folder / redis_files.CONFIGURATION_NAME).stat().st_ino

    stored.prepare(port)

    assert (folder / redis_files.CONFIGURATION_NAME).stat().st_ino == before


def test_no_process_is_left_of_a_trial(stored: EmbeddedRedis, folder: Path) -> None:
    damage_middle(folder)
    stored.start()
    stored.stop()

    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(folder) not in listed
    assert not list(folder.parent.glob("redis-trial-*"))
