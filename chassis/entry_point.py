"""Entry point of every process: choose the command, load its settings, turn expected failures into exit codes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from chassis import logs
from chassis.addresses import PortTaken
from chassis.errors import StoreUnavailable
from chassis.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INTERRUPTED: Final = 130


def run_command(package: str, commands: Mapping[str, Callable[[], int]]) -> int:
    """Run the one command that the command line names; return the exit code. Anything else prints the usage."""
    arguments = sys.argv[1:]
    if len(arguments) == 1 and arguments[0] in commands:
        return exit_code(commands[arguments[0]])
    sys.stderr.write(f"usage: python -m {package} {'|'.join(commands)}\n")
    return 0 if arguments in (["-h"], ["--help"]) else 2


def exit_code(command: Callable[[], int], *failures: type[Exception]) -> int:
    """Return a command's exit code: 2 for invalid settings, 1 for an expected failure, whose message is printed.

    ``failures`` are expected besides an unavailable database and a port in use. The settings of a process that cannot
    start are not logged but printed: logs are configured by settings.
    """
    expected: tuple[type[Exception], ...] = (StoreUnavailable, PortTaken, *failures)
    try:
        return command()
    except SettingsError as error:
        sys.stderr.write("\n".join(["Invalid settings:", *error.problems]) + "\n")
        return 2
    except expected as error:
        sys.stderr.write(f"{logs.visible(str(error))}\n")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
