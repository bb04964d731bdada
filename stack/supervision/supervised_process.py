"""One process of the stack: started, watched, and started again with back-off when it ends unasked."""

import asyncio
import contextlib
import os
import re
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stack.errors import StartFailed
from stack.servers.redis import Remedy
from stack.stack_state import ProcessState
from stack.supervision.leftovers import start_time
from stack.supervision.liveness import Liveness
from stack.supervision.merged_log import MergedLog
from stack.supervision.piped_process import piped
from stack.supervision.probes import is_healthy

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 15.0
# One that ran this long before it ended was well: the next start waits the shortest time again.
GOOD_RUN_SECONDS = 30.0
PROBE_INTERVAL_SECONDS = 0.15
SAID_READY = re.compile(r"\bready\b", re.IGNORECASE)
# What was written before the end is usually there at once.
LAST_LINES_SECONDS = 1.0
# A server that crashes prints a report of some 200 lines below the one that says why.
LINES_KEPT = 500


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """What to run and how to see that it is well.

    ``remedy`` is given the exit code and the last lines of a run that ended before it was healthy. ``liveness`` is
    watched once it was: a migration at the start may take long.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    probe: str
    target: str
    ports: Sequence[int] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    remedy: Callable[[int, Sequence[str]], Remedy | None] | None = None
    liveness: Liveness | None = None


class SupervisedProcess:
    """Runs a plan until ``stop``; tells ``changed`` whenever the state other verbs see has changed."""

    def __init__(
        self,
        plan: ProcessPlan,
        log: MergedLog,
        changed: Callable[[], None],
        unresponsive: Callable[[str], None] = lambda _: None,
    ) -> None:
        """``unresponsive`` is called with the name of a process that is ended because it does not respond."""
        self._unresponsive = unresponsive
        self.plan = plan
        self.state = ProcessState(plan.name, None, list(plan.ports), plan.probe, plan.target)
        self._healthy = asyncio.Event()
        self._ended = asyncio.Semaphore(0)
        self._log = log
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._runner: asyncio.Task[None] | None = None
        self._command = plan.command
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)

    def start(self) -> None:
        """Begin to run."""
        self._runner = asyncio.create_task(self._keep_running(), name=f"run {self.plan.name}")

    async def until_healthy(self, most_failed_starts: int) -> None:
        """Return once the process is healthy; StartFailed when it keeps ending before it is."""
        healthy = asyncio.create_task(self._healthy.wait())
        try:
            for _ in range(most_failed_starts):
                ended = asyncio.create_task(self._ended.acquire())
                await asyncio.wait([healthy, ended], return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():
                    ended.cancel()
                    return
        finally:
            healthy.cancel()
        message = f"{self.plan.name} ended {most_failed_starts} times while starting."
        raise StartFailed(message, self.plan.name)

    async def stop(self, grace_seconds: float) -> None:
        """End the process and everything it started; by force after the grace."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(self.plan.stop_signal)
        if self._runner is None:
            return
        _, waiting = await asyncio.wait([self._runner], timeout=grace_seconds)
        if waiting:
            self._log.say(f"{self.plan.name} did not stop within {grace_seconds:.1f} s and is ended by force")
            self.kill()
            await asyncio.wait([self._runner], timeout=1)

    def kill(self) -> None:
        """End the process and everything it started at once."""
        self._stopping.set()
        self._kill_group()

    async def _keep_running(self) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            code, was_healthy = None, False
            try:
                code, was_healthy = await self._run_once()
                what = _ending(code)
            except OSError as error:
                # The machine lacks memory or processes for now; the supervisor keeps retrying.
                what = f"could not be started: {error}"
            if self._stopping.is_set():
                return
            if loop.time() - started > GOOD_RUN_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            if was_healthy:
                self._command = self.plan.command
            elif code is not None:
                await self._apply_remedy(code)
            self._log.say(f"{self.plan.name} {what}; starting it again in {backoff:.1f} s")
            self._ended.release()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    async def _apply_remedy(self, code: int) -> None:
        if self.plan.remedy is None:
            return
        try:
            remedy = await asyncio.to_thread(self.plan.remedy, code, list(self._lines))
        except OSError as error:
            self._log.say(f"{self.plan.name}: nothing could be done about it: {error}")
            return
        if remedy is not None:
            self._log.say(remedy.message)
            self._command = remedy.command

    async def _run_once(self) -> tuple[int, bool]:
        """Run the process; return its exit code, and whether it was healthy meanwhile."""
        self._lines.clear()
        async with piped(self._command, self.plan.environment) as child:
            self._process = child.process
            self.state.pid, self.state.started_at = child.process.pid, start_time(child.process.pid)
            self._changed()
            watchers = [
                asyncio.create_task(self._probe_until_healthy(), name=f"probe {self.plan.name}"),
                asyncio.create_task(self._copy_output(child.output), name=f"log {self.plan.name}"),
                asyncio.create_task(self._watch_liveness(), name=f"liveness {self.plan.name}"),
            ]
            code = await child.process.wait()
            self._kill_group()
            self._process = None  # its number may be given to another one from now on
            watchers[0].cancel()
            watchers[2].cancel()
            await asyncio.wait(watchers, timeout=LAST_LINES_SECONDS)
            watchers[1].cancel()
        was_healthy = self._healthy.is_set()
        self._healthy.clear()
        self.state.ready, self.state.pid, self.state.started_at = False, None, None
        self._changed()
        return code, was_healthy

    async def _copy_output(self, output: asyncio.StreamReader) -> None:
        async for line in self._log.copied(self.plan.name, output):
            self._lines.append(line)
            if self.plan.probe == "log" and not self.state.ready and SAID_READY.search(line):
                self.state.ready = True

    async def _probe_until_healthy(self) -> None:
        while not await asyncio.to_thread(is_healthy, self.state):  # noqa: ASYNC110 - what is asked lives elsewhere
            await asyncio.sleep(PROBE_INTERVAL_SECONDS)
        self.state.ready = True
        self._healthy.set()
        self._changed()

    async def _watch_liveness(self) -> None:
        liveness = self.plan.liveness
        if liveness is None or not liveness.seconds:
            return
        await self._healthy.wait()
        seconds = await liveness.until_unresponsive()
        if not self._stopping.is_set():
            self._log.say(f"{self.plan.name} has not responded for {seconds:.0f} s and is ended by force")
            self._unresponsive(self.plan.name)
            self._kill_group()

    def _kill_group(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)


async def run_to_end(name: str, command: Sequence[str], environment: Mapping[str, str], log: MergedLog) -> int:
    """Run a program that ends by itself, with its lines in the log; return its exit code."""
    async with piped(command, environment) as child:
        try:
            async for _ in log.copied(name, child.output):
                pass
            return await child.process.wait()
        finally:
            if child.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child.process.pid, signal.SIGKILL)
                await child.process.wait()


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
