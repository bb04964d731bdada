"""PostgreSQL's own programs: those of the embedded server, else those on PATH; how they are told where to connect."""

import shutil

from devstack.errors import ServerUnavailable
from devstack.postgres import binaries

# Connection parameters by the environment, so that the list of processes does not show the password.
CONNECTION_VARIABLES = {
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


def postgres_program(name: str) -> str:
    """Answer the path of ``psql``, ``pg_dump`` or another one."""
    try:
        return str(binaries() / name)
    except ServerUnavailable:
        found = shutil.which(name)
        if found is None:
            raise
        return found
