"""The lines shown once everything runs: each value can be copied from the end of its line."""

from pathlib import Path

import pytest

from stack.supervision.banner import banner
from stack.supervision.first_admin import FirstAdmin
from stack.supervision.port_plan import PortPlan
from stack.supervision.signing_keys import KeyFiles
from stack.supervision.stack_plan import StackFacts
from stack.supervision.up_settings import UpSettings


@pytest.fixture
def facts(tmp_path: Path) -> StackFacts:
    ports = PortPlan(
        inventory=[50051, 50053],
        content=[50052, 50054],
        edge=[8000, 8001],
        identity=[50060, 50061],
        operations={"edge-1": 9001},
    )
    keys = KeyFiles(tmp_path / "key.pem", tmp_path / "jwks.json")
    return StackFacts(UpSettings(), ports, {}, None, keys, tmp_path)


def last_words(text: str) -> list[str]:
    return [line.split()[-1] for line in text.splitlines()]


def test_a_generated_password_ends_its_line(facts: StackFacts) -> None:
    """Text behind it was copied with it."""
    shown = banner(facts, FirstAdmin("admin", "koSl6c0yT_o5PGgRXdy3", generated=True), facts.data_folder)

    assert "  admin password       koSl6c0yT_o5PGgRXdy3" in shown.splitlines()
    assert "only once" in shown


def test_every_address_ends_a_line(facts: StackFacts) -> None:
    shown = banner(facts, None, facts.data_folder)

    for port in (50051, 50052, 50053, 50054):
        assert f"127.0.0.1:{port}" in last_words(shown)
    assert {"http://127.0.0.1:8000", "http://127.0.0.1:8001", str(facts.data_folder)} <= set(last_words(shown))
    assert "http://127.0.0.1:9001/metrics" in last_words(shown)
    assert "password" not in shown


def test_a_password_that_was_given_is_not_shown(facts: StackFacts) -> None:
    shown = banner(facts, FirstAdmin("admin", "secret-of-the-environment", generated=False), facts.data_folder)

    assert "secret-of-the-environment" not in shown
    assert "only once" not in shown
