"""Parameters of a database function, defined once: the call names them, and rows give their values."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

Row = TypeVar("Row")


class Parameters(Generic[Row]):
    """Parameters that take the fields of a row, or the columns of many rows as arrays."""

    def __init__(self, fields: dict[str, str | Callable[[Row], Any]]) -> None:
        """Take the name of each parameter, and the attribute path or function that gives its value."""
        self.names = tuple(fields)
        self._getters: list[Callable[[Row], Any]] = [
            attrgetter(field) if isinstance(field, str) else field for field in fields.values()
        ]

    def values(self, row: Row) -> list[Any]:
        """Return the fields of a row, in the order of the names."""
        return [getter(row) for getter in self._getters]

    def arrays(self, rows: Collection[Row]) -> list[list[Any]]:
        """Return the columns of the rows, in the order of the names."""
        return [list(map(getter, rows)) for getter in self._getters]


def call(function: str, *names: str) -> str:
    """Return the call of a function with parameters by name, numbered in this order."""
    arguments = (f"{name} => ${number}" for number, name in enumerate(names, 1))
    return f"{function}({', '.join(arguments)})"
