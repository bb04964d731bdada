"""A log that tests wait on instead of sleeping."""

import asyncio
import io

from stack.supervision.merged_log import MergedLog


class ListeningLog(MergedLog):
    """Keeps every line and wakes whoever waits for one."""

    def __init__(self) -> None:
        super().__init__(io.StringIO(), coloured=False)
        self.lines: list[tuple[str, str]] = []
        self._written = asyncio.Event()

    def write(self, name: str, line: str) -> None:
        self.lines.append((name, line))
        self._written.set()

    async def until(self, name: str, text: str, count: int = 1) -> None:
        """Return once ``name`` has written ``count`` lines that hold ``text``."""
        while sum(who == name and text in line for who, line in self.lines) < count:
            self._written.clear()
            await self._written.wait()
