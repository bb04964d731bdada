"""Runs one verb inside the virtual environment."""

import importlib
import os
import sys

from devstack import verbs
from devstack.errors import DevstackError

_PIPE_CLOSED = 141  # as a shell says it of a program that SIGPIPE ended
_INTERRUPTED = 130  # and of one that Ctrl-C ended


def main(arguments: list[str]) -> int:
    """Answer the exit code of the verb; problems of this machine are one message, not a traceback."""
    name, *rest = arguments or ["help"]
    verb = verbs.available().get(name)
    if verb is None:
        print(verbs.overview())
        return 2
    # A name from somebody's file or file system may hold what no terminal can show: that is shown escaped.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        module = importlib.import_module(verb.module)
        code = int(module.main(rest) or 0)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has seen enough; what is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED
    except DevstackError as error:
        print(f"partstream {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
