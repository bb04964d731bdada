"""``./partstream up``: the whole system on this machine, until Ctrl-C."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys

import psycopg

from chassis.settings import load
from stack import stack_state
from stack.errors import StackError, StartFailed
from stack.supervision import all_settings
from stack.supervision.first_admin import password_problems
from stack.supervision.merged_log import MergedLog
from stack.supervision.stack import Stack, UpOptions
from stack.supervision.up_settings import UpSettings

# Some senders (timeout, process groups) deliver one wish to stop twice.
DUPLICATE_SIGNAL_SECONDS = 1.0
# A reader that is still connected gets the last lines of the log.
LAST_LINES_SECONDS = 1.0


def run(given: argparse.Namespace) -> int:
    """Run the stack; return 0 when it was stopped by a signal."""
    folder = stack_state.data_folder(given.data_dir)
    options = UpOptions(folder, given.port, given.edges, given.replicas, given.empty)
    # The settings of the processes too: reject invalid ones before a process starts.
    if problems := all_settings.wrong(os.environ) + password_problems(os.environ):
        lines = "\n".join(f"  {problem}" for problem in problems)
        print(f"partstream up: invalid settings:\n{lines}", file=sys.stderr)
        return 2
    settings = load(UpSettings)
    log = MergedLog(for_machines=settings.log_format == "json", verbose=settings.log_level == "DEBUG")
    try:
        with stack_state.hold(options.data_folder):
            for line in all_settings.unknown(os.environ):
                log.say(line)
            return asyncio.run(_run(options, settings, log))
    finally:
        log.flush(LAST_LINES_SECONDS)


async def _run(options: UpOptions, settings: UpSettings, log: MergedLog) -> int:
    stack = Stack(options, settings, log)
    stop = _stop_signal(stack, log)
    starting = asyncio.create_task(stack.start())
    stopping = asyncio.create_task(stop.wait())
    code = 0
    try:
        await asyncio.wait([starting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await stopping
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
    except (StackError, OSError, psycopg.Error) as error:
        _log_failure(error, log)
        code = 1
    finally:
        stopping.cancel()
        log.say("stopping")
        await stack.stop()
        log.say("stopped")
    return code


def _log_failure(error: Exception, log: MergedLog) -> None:
    """Log why the start failed, with the last lines of the failed process."""
    name = error.process if isinstance(error, StartFailed) else ""
    lines = log.recent(name)
    log.say(f"cannot start: {error}" + (" Its last lines:" if lines else ""))
    for line in lines:
        log.write(name, line)


def _stop_signal(stack: Stack, log: MergedLog) -> asyncio.Event:
    """Return the event that the first SIGINT or SIGTERM sets; a later signal ends everything immediately."""
    stop = asyncio.Event()
    clock = asyncio.get_running_loop().time
    first_signal = 0.0

    def on_signal() -> None:
        nonlocal first_signal
        if not stop.is_set():
            first_signal = clock()
            stop.set()
        elif clock() - first_signal > DUPLICATE_SIGNAL_SECONDS:
            log.say("second signal: killing all processes")
            stack.kill()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # under nohup: the terminal may close
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    return stop
