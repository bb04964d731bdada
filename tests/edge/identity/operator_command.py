"""The operator commands as processes, with the settings of one edge."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from typing import Any

from stack.checkout import ROOT


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """Return the last line of standard output."""
        return self.out.splitlines()[-1]

    def json(self) -> Any:
        """Return standard output, parsed as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class OperatorCommand:
    """``python -m edge`` with settings and a redirection of the shell; call it with the arguments."""

    settings: dict[str, str]
    redirection: str = ""

    async def __call__(self, *arguments: str, stdin: bytes = b"") -> Done:
        """Run the command to its end."""
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", f'exec "$@" {self.redirection}', "sh", sys.executable, "-m", "edge", *arguments),
            cwd=ROOT,
            env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | self.settings,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin), 60)
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())
