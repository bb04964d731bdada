"""Runs one command inside the prepared environment."""

import importlib
import os
import sys

from chassis.logs import visible
from cli import tree
from stack.errors import StackError

_PIPE_CLOSED = 141  # as a shell reports a program that SIGPIPE ended
_INTERRUPTED = 130  # and one that Ctrl-C ended


def main(arguments: list[str]) -> int:
    """Return the exit code of the command; a problem of this machine is one message, not a traceback."""
    given = tree.parse(arguments)
    module, _, function = given.function.partition(":")
    # A name from a file or a file system may hold what no terminal can show: it is shown escaped.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        code = int(getattr(importlib.import_module(module), function)(given) or 0)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of the output has closed it; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except StackError as error:
        print("\n".join(visible(line) for line in f"{given.parser.prog}: {error}".split("\n")), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
