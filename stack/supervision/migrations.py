"""Which databases are behind their room's migrations: asked of the database, so that a start spares what is not needed.

Starting a migration costs more than a second of a processor each, mostly for reading Python files.
"""

import ast

import psycopg

from stack.checkout import ROOT

FOLDER = "migrations"

# Whether Piccolo's own table is there yet; asked first, so that a new database logs no error.
HAS_TABLE = b"SELECT to_regclass('public.migration') IS NOT NULL"
# The migrations that have been run.
DONE = b"SELECT name FROM migration"


def is_behind(room: str, dsn: str) -> bool:
    """Return whether a migration of the room has not been run. A database that is away counts as behind."""
    try:
        with psycopg.connect(dsn, connect_timeout=10) as connection:
            row = connection.execute(HAS_TABLE).fetchone()
            if row is None or not row[0]:
                return True
            done = {str(name) for (name,) in connection.execute(DONE)}
    except psycopg.Error:
        return True
    return not _ids(room) <= done


def _ids(room: str) -> set[str]:
    return {
        str(node.value.value)
        for path in (ROOT / room / FOLDER).glob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if any(isinstance(target, ast.Name) and target.id == "ID" for target in node.targets)
    }
