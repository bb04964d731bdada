"""PostgreSQL's own programs: those of the embedded server, else those on PATH, and their connection environment."""

import shutil

from psycopg.conninfo import conninfo_to_dict

from stack.errors import ServerUnavailable
from stack.servers.postgres import binaries

# Connection parameters by the environment, so that the list of processes does not show the password.
CONNECTION_VARIABLES = {
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "application_name": "PGAPPNAME",
    "channel_binding": "PGCHANNELBINDING",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "gssencmode": "PGGSSENCMODE",
    "hostaddr": "PGHOSTADDR",
    "options": "PGOPTIONS",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


def connection_environment(dsn: str) -> dict[str, str]:
    """Return the variables that tell a program where to connect. What has none, the programs do without."""
    parts = conninfo_to_dict(dsn)
    return {CONNECTION_VARIABLES[name]: str(value) for name, value in parts.items() if name in CONNECTION_VARIABLES}


def postgres_program(name: str) -> str:
    """Return the path of ``psql``, ``pg_dump`` or another one."""
    try:
        return str(binaries() / name)
    except ServerUnavailable:
        found = shutil.which(name)
        if found is None:
            raise
        return found
