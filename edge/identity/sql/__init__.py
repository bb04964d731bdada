"""The statements of identity by name; each has its description in its ``.sql`` file."""

from pathlib import Path
from typing import Final

from chassis.statements import load_statements

STATEMENTS: Final = load_statements(Path(__file__).parent)
