"""The statements of the service, by name; each has its description in its `.sql` file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from chassis.statements import load_statements

if TYPE_CHECKING:
    from collections.abc import Mapping

STATEMENTS: Final[Mapping[str, str]] = load_statements(Path(__file__).parent)
