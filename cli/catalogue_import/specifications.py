"""Turns the `specs` of a row into an object of scalars, deterministically and without losing a value."""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING, TypeAlias

from cli.catalogue_import.errors import RowRejected
from cli.catalogue_import.text import UNPRINTABLE, plain_text
from cli.catalogue_import.treatments import Notes, Treatment

if TYPE_CHECKING:
    from collections.abc import Iterator

Scalar: TypeAlias = str | int | float | bool | None

MOST_NAMES = 200
LONGEST_NAME = 200
LONGEST_VALUE = 2_000
SIGNIFICANT_DIGITS = 12  # a double holds 15 to 17; noise such as 9.999999999999999e-06 sits in the last two
EXACT_IN_DOUBLE = 2**53
PLACEHOLDERS = frozenset({"", "-", "nan"})


def specifications(value: object, notes: Notes) -> dict[str, Scalar]:
    """Return specs as name → scalar in the order of the file. Raises RowRejected when it is no object or too large."""
    if value in (None, "", {}, []):
        notes.add(Treatment.SPECS_MISSING, "specs")
        return {}
    if not isinstance(value, dict):
        raise RowRejected("specs", "NOT_AN_OBJECT", "must be an object", value)
    found: dict[str, Scalar] = {}
    taken: dict[str, str] = {}  # folded name → name as kept
    for path, raw in _flat("", value, notes):
        name = _name(path, notes)
        _keep(found, taken, name, _scalar(raw, f"specs.{name}", notes), notes)
    if len(found) > MOST_NAMES:
        raise RowRejected("specs", "TOO_MANY", f"{len(found)} names, at most {MOST_NAMES}", None)
    return found


def _flat(path: str, members: dict[str, object], notes: Notes) -> Iterator[tuple[str, object]]:
    for name, value in members.items():
        where = f"{path} / {name}" if path else name
        if isinstance(value, dict) and value:
            notes.add(Treatment.SPEC_FLATTENED, f"specs.{where}", value)
            yield from _flat(where, value, notes)
        else:
            yield where, value


def _name(path: str, notes: Notes) -> str:
    printable = UNPRINTABLE.sub("", path)
    if printable != path:
        notes.add(Treatment.CONTROL_CHARACTER_REMOVED, "specs", path)
    name = " ".join(printable.split())
    if name != printable:
        notes.add(Treatment.SPEC_NAME_SPACED, f"specs.{name}", path)
    if not name:
        raise RowRejected("specs", "NAME_EMPTY", "a specification has no name", path)
    if len(name) > LONGEST_NAME:
        raise RowRejected("specs", "TOO_LONG", f"a name of {len(name)} characters, at most {LONGEST_NAME}", name)
    return name


def _keep(found: dict[str, Scalar], taken: dict[str, str], name: str, value: Scalar, notes: Notes) -> None:
    """Keep a value under its name; a name met before in another spelling is merged or numbered."""
    wanted, number = name, 1
    while (kept := taken.get(_folded(wanted))) is not None:
        # True == 1 in Python, and not in a catalogue.
        if found[kept] == value and isinstance(found[kept], bool) == isinstance(value, bool):
            notes.add(Treatment.SPEC_NAME_MERGED, f"specs.{name}", value)
            return
        number += 1
        wanted = f"{name} ({number})"
    if number > 1:
        notes.add(Treatment.SPEC_NAME_NUMBERED, f"specs.{wanted}", value)
    taken[_folded(wanted)] = wanted
    found[wanted] = value


def _folded(name: str) -> str:
    """Return what two spellings of one name share: case, and the form in which an accent is written."""
    return unicodedata.normalize("NFKC", name).casefold()


def _scalar(value: object, field: str, notes: Notes) -> Scalar:
    match value:
        case None | bool():
            return value
        case int():
            return _whole(value, field, notes)
        case float():
            return _rounded(value, field, notes)
        case str():
            return _text(value, field, notes)
        case list() if value:
            return _joined(value, field, notes)
        case list() | dict() if not value:
            notes.add(Treatment.SPEC_PLACEHOLDER, field, value)
            return None
    raise RowRejected(field, "NOT_A_SCALAR", "an object inside a list", value)


def _joined(items: list[object], field: str, notes: Notes) -> str | None:
    scalars = [_scalar(item, field, notes) for item in items]
    notes.add(Treatment.SPEC_LIST_JOINED, field, items)
    if all(scalar is None for scalar in scalars):
        return None
    return _text(", ".join(map(_written, scalars)), field, notes)


def _written(value: Scalar) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(value: str, field: str, notes: Notes) -> str | None:
    text = plain_text(value, field, LONGEST_VALUE, notes)
    if text.casefold() in PLACEHOLDERS:
        notes.add(Treatment.SPEC_PLACEHOLDER, field, value)
        return None
    return text


def _whole(value: int, field: str, notes: Notes) -> int | str:
    if abs(value) <= EXACT_IN_DOUBLE:
        return value
    notes.add(Treatment.SPEC_NUMBER_AS_TEXT, field, value)
    return str(value)


def _rounded(value: float, field: str, notes: Notes) -> float | None:
    if not math.isfinite(value):
        notes.add(Treatment.SPEC_PLACEHOLDER, field, str(value))
        return None
    rounded = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if rounded != value:
        notes.add(Treatment.SPEC_NUMBER_ROUNDED, field, value)
    return rounded
