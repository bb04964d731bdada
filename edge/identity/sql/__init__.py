"""The statements of identity that the query builder does not express, one ``.sql`` file for each subject."""

from pathlib import Path
from typing import Final

from chassis.statements import load_statements

SQL: Final = load_statements(Path(__file__).parent)
