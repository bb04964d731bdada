"""A console that prints texts unchanged: no markup in square brackets, no emoji codes."""

from rich.console import Console


def console(*, stderr: bool = False) -> Console:
    """Return a console for texts that come from files."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
