"""Network namespaces for watchers: two namespaces and a link between them that can be taken down and up.

``python -m tests.chaos.stream.network_namespace SOCKET`` runs in a namespace (``unshare``) and starts the watchers in
another. Connections over the link are relayed to a Unix socket, which crosses namespaces, and from there to a replica.
A link that is down drops packets silently, without a reset. Unnamed namespaces end with their last process, and these
end with the test run.

One command per line of standard input: ``down`` and ``up`` are for the link, all others are relayed to the watchers,
which share this standard output.
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
NEAR, FAR = "10.83.0.1", "10.83.0.2"  # private to the namespaces
_CHUNK = 65536
_PR_SET_PDEATHSIG = 1

# As root, or as root of a new user namespace.
WAYS = (("unshare", "--net"), ("unshare", "--user", "--map-root-user", "--net"))
PROBE = "ip link set lo up && ip link add near type veth peer name far && ip link set near up"


def namespace_command() -> tuple[tuple[str, ...] | None, str]:
    """Return the command that runs another one in such a namespace, or why there is none."""
    missing = [tool for tool in ("unshare", "ip") if shutil.which(tool) is None]
    if missing or sys.platform != "linux":
        return None, f"namespaces need Linux and {' and '.join(missing or ['unshare'])}"
    problem = ""
    for way in WAYS:
        done = subprocess.run([*way, "sh", "-c", PROBE], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return way, ""
        problem = done.stderr.strip() or f"exit code {done.returncode}"
    return None, f"network namespaces are not permitted: {problem}"


def end_with_parent() -> None:
    """Make the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def ip(*arguments: str) -> None:
    """Run ``ip`` in this namespace."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"ip {' '.join(arguments)}: {done.stderr.strip()}"
        raise OSError(message)


async def relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    onward: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Relay bytes in both directions until one side closes."""

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


async def _run(socket: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await relay(reader, writer, await asyncio.open_unix_connection(socket))

    ip("link", "set", "lo", "up")
    ip("link", "add", "near", "type", "veth", "peer", "name", "far")
    ip("addr", "add", f"{NEAR}/30", "dev", "near")
    watcher = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.stream.isolated_watchers", stdin=subprocess.PIPE
    )
    assert watcher.stdin is not None
    while _namespace(watcher.pid) == _namespace(os.getpid()):  # noqa: ASYNC110 - there is no event for it
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
    message = "the watcher ended before its start"
    raise RuntimeError(message)


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(_run(sys.argv[1]))
