"""A network of its own around the watcher: two namespaces and a link between them that can be taken down and up.

``python -m tests.chaos.stream.island SOCKET`` runs in a namespace (``unshare``) and starts the watcher in another. What
comes over the link is passed on to a Unix socket, which namespaces do not divide, and behind that is a replica. A link
that is down drops what is sent: nobody is told, nothing is reset. Namespaces without a name are gone with the last
process in them, and these end with the test run.

One command per line of standard input: ``down`` and ``up`` are for the link, all others are passed on to the watcher,
whose standard output is this one's.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

PORT = 7000
NEAR, FAR = "10.83.0.1", "10.83.0.2"  # nobody outside sees them
_CHUNK = 65536
_PR_SET_PDEATHSIG = 1

# As root of the machine, or as root of a user namespace made for it.
WAYS = (("unshare", "--net"), ("unshare", "--user", "--map-root-user", "--net"))
PROBE = "ip link set lo up && ip link add near type veth peer name far && ip link set near up"


def way_in() -> tuple[tuple[str, ...] | None, str]:
    """The command that runs another one in such a namespace, or why there is none."""
    missing = [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]
    if missing or sys.platform != "linux":
        return None, f"namespaces need Linux and {' and '.join(missing or ['unshare'])}"
    said = ""
    for way in WAYS:
        done = subprocess.run([*way, "sh", "-c", PROBE], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return way, ""
        said = done.stderr.strip() or f"exit code {done.returncode}"
    return None, f"this machine allows no network namespaces: {said}"


def end_with_parent() -> None:
    """Have the kernel end this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def ip(*arguments: str) -> None:
    """Change the network of this namespace."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"ip {' '.join(arguments)}: {done.stderr.strip()}"
        raise OSError(message)


async def pass_on(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    onward: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Pass bytes both ways until one side closes."""

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while chunk := await source.read(_CHUNK):
            target.write(chunk)
            await target.drain()
        raise ConnectionResetError

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, onward[1]))
            group.create_task(pump(onward[0], writer))
    except* OSError:
        pass
    finally:
        writer.transport.abort()
        onward[1].transport.abort()


async def _govern(socket: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await pass_on(reader, writer, await asyncio.open_unix_connection(socket))

    ip("link", "set", "lo", "up")
    ip("link", "add", "near", "type", "veth", "peer", "name", "far")
    ip("addr", "add", f"{NEAR}/30", "dev", "near")
    watcher = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.stream.far_watcher", stdin=subprocess.PIPE
    )
    assert watcher.stdin is not None
    while _namespace(watcher.pid) == _namespace(os.getpid()):  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)
    ip("link", "set", "far", "netns", str(watcher.pid))
    ip("link", "set", "near", "up")
    server = await asyncio.start_server(serve, NEAR, PORT)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with server:
        while line := (await commands.readline()).decode():
            if (command := json.loads(line)) in ("down", "up"):
                ip("link", "set", "near", command)
                print(json.dumps({"link": command}), flush=True)  # noqa: T201 - the protocol
            else:
                watcher.stdin.write(line.encode())
    watcher.kill()
    await watcher.wait()


def _namespace(pid: int) -> str:
    with contextlib.suppress(FileNotFoundError):
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    message = "the watcher ended before it began"
    raise RuntimeError(message)


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(_govern(sys.argv[1]))
