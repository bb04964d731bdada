"""Ports that nobody else gets while a server is down for a moment."""

from pathlib import Path

import pytest

from stack.errors import ServerUnavailable, StackError
from stack.servers import ports
from stack.servers.ports import PORTS_FILE, free_port, is_free, remembered_port, require_own_address
from stack.servers.postgres import chosen_version


def test_a_chosen_port_is_none_that_outgoing_connections_get() -> None:
    """A client that went on trying a killed server's port was once given that very port for its own end."""
    for _ in range(50):
        chosen = free_port()

        assert ports.LOWEST_CHOSEN <= chosen < ports._first_ephemeral_port()
        assert is_free(chosen)


def test_where_all_ports_may_be_outgoing_the_system_chooses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = tmp_path / "range"
    given.write_text("1024\t65535\n")
    monkeypatch.setattr(ports, "EPHEMERAL_RANGE", given)

    assert is_free(free_port())


def test_a_port_is_kept_over_a_restart(tmp_path: Path) -> None:
    assert remembered_port(tmp_path, "postgres") == remembered_port(tmp_path, "postgres")


def test_a_file_of_ports_that_was_cut_short_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / PORTS_FILE).write_text('{"postgres": 5')

    assert remembered_port(tmp_path, "postgres") == remembered_port(tmp_path, "postgres")


@pytest.mark.parametrize("host", ["192.0.2.1", "198.51.100.7"])
def test_an_address_of_another_machine_is_not_called_a_port_in_use(host: str) -> None:
    with pytest.raises(StackError, match="no IPv4 address of this machine"):
        require_own_address(host)


def test_a_version_that_is_no_number_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVER_POSTGRES_VERSION", "newest")

    with pytest.raises(ServerUnavailable, match="'newest'"):
        chosen_version()
