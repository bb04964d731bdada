"""Children end with whoever started them, and PostgreSQL runs where its user may not look."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg
import pytest

from stack.servers.launcher import child_command
from stack.servers.postgres import EmbeddedPostgres
from stack.servers.system_user import unprivileged_user

PARENT = """
import subprocess, sys
from stack.servers.launcher import child_command
waits = "print('up', flush=True); import signal; signal.pause()"
child = subprocess.Popen(child_command([sys.executable, "-c", waits]), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
import signal
signal.pause()
"""
SERVER_OF_A_KILLED_STACK = """
import sys
from pathlib import Path
from stack.servers.launcher import child_command
from stack.servers.postgres import EmbeddedPostgres
import stack.servers.postgres
def outliving(program, *, death_signal, user):
    return child_command(program, death_signal=None, user=user)
stack.servers.postgres.child_command = outliving
server = EmbeddedPostgres(Path(sys.argv[1]), password="x", durable=False)
print(server.start(), flush=True)
import os
os._exit(0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such signal; the next start cleans up")
def test_child_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))

        parent.send_signal(signal.SIGKILL)

        assert psutil.wait_procs([child], timeout=10)[0]


def test_exit_code_of_the_program_is_kept() -> None:
    command = child_command([sys.executable, "-c", "raise SystemExit(7)"])

    assert subprocess.run(command, check=False).returncode == 7


def test_server_runs_below_a_folder_that_others_may_not_enter(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    server = EmbeddedPostgres(closed / "postgres", password="p/w", durable=False)

    dsn = server.start()

    try:
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
    assert closed.stat().st_mode & 0o777 == 0o700


def test_programs_below_a_folder_that_others_may_not_enter_find_each_other(tmp_path: Path) -> None:
    """A checkout below a folder of root's own once did not start: initdb saw no ``postgres`` beside itself."""
    user = unprivileged_user()
    if user is None:
        pytest.skip("whoever is not root gives no rights up")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    program = closed / "program"
    program.write_text("")
    program.chmod(0o755)
    looks = "import os, sys; sys.exit(not os.access(sys.argv[1], os.R_OK | os.X_OK))"

    command = child_command([sys.executable, "-c", looks, str(program)], user=user.able_to_reach([program]))

    assert subprocess.run(command, check=False).returncode == 0


def test_server_left_over_by_a_killed_stack_is_ended_before_the_next_one(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVER_OF_A_KILLED_STACK, str(tmp_path / "postgres")]
    left = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    psycopg.connect(left).close()

    server = EmbeddedPostgres(tmp_path / "postgres", password="x", durable=False)
    dsn = server.start()

    try:
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(left)
        psycopg.connect(dsn).close()
    finally:
        server.stop()
    assert not list((tmp_path / "postgres" / "cluster").glob("postmaster.pid"))
    assert os.getpgid(0)
