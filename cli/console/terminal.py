"""A terminal that shows texts as they are: names in square brackets are no colours, `:x:` is no picture."""

from rich.console import Console


def console(*, stderr: bool = False) -> Console:
    """Return a console for texts that come from files."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)
