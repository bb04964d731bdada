"""Runs one verb inside the virtual environment."""

import importlib
import sys

from devstack import verbs
from devstack.errors import DevstackError


def main(arguments: list[str]) -> int:
    """Answer the exit code of the verb; problems of this machine are one message, not a traceback."""
    name, *rest = arguments or ["help"]
    verb = verbs.available().get(name)
    if verb is None:
        print(verbs.overview())
        return 2
    module = importlib.import_module(verb.module)
    try:
        return int(module.main(rest) or 0)
    except DevstackError as error:
        print(f"partstream {name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
