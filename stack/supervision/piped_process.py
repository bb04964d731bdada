"""A child process whose output is read through a pipe of our own.

asyncio's own pipes make ``wait`` return only when the last writer has closed them: with a killed process that left
children behind, never.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from stack.checkout import ROOT


@dataclass(frozen=True, slots=True)
class PipedProcess:
    """The process, and what it and its children write to standard output and standard error."""

    process: asyncio.subprocess.Process
    output: asyncio.StreamReader


@asynccontextmanager
async def piped(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[PipedProcess]:
    """Start the command in the repository's folder; afterwards close the pipe, whichever process holds its end.

    It leads a session of its own: Ctrl-C at the terminal reaches the supervisor only, and a signal to the group
    reaches everything it starts.
    """
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=writing,
            stderr=writing,
            env=dict(environment),
            cwd=ROOT,
            start_new_session=True,
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    output = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(output), os.fdopen(reading, "rb", buffering=0)
    )
    try:
        yield PipedProcess(process, output)
    finally:
        transport.close()
