"""Each kind of process has a key of its own, which can be replaced while the stack runs."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from chassis.errors import TokenInvalid
from chassis.process_keys import PROCESS_PERMISSIONS
from chassis.tokens import ServiceToken, SigningKey, TokenVerifier
from cli.tree import PROCESSES
from stack.supervision import process_credentials, signing_keys
from stack.supervision.port_plan import PortPlan
from stack.supervision.process_credentials import ProcessCredentials
from stack.supervision.stack_plan import StackFacts, edge_plans, expected, service_plans, task_plans
from stack.supervision.up_settings import UpSettings

if TYPE_CHECKING:
    from pathlib import Path

COPIES = ("inventory-1", "content-1", "edge-1", "worker", "scheduler")


@pytest.fixture
def credentials(tmp_path: Path) -> ProcessCredentials:
    """Those of a data folder that is used for the first time."""
    return signing_keys.ensure(tmp_path).processes


def verifier(credentials: ProcessCredentials) -> TokenVerifier:
    return TokenVerifier(str(credentials.data_folder / "jwks.json"), processes=str(credentials.key_set))


def key_ids(credentials: ProcessCredentials) -> dict[str, str]:
    return {process: SigningKey.load(credentials.key(process)).key_id for process in PROCESS_PERMISSIONS}


def test_every_process_has_a_key_that_only_the_owner_of_the_folder_reads(credentials: ProcessCredentials) -> None:
    assert set(PROCESSES) == set(PROCESS_PERMISSIONS)
    assert len(set(key_ids(credentials).values())) == len(PROCESS_PERMISSIONS)
    for process in PROCESS_PERMISSIONS:
        assert stat.S_IMODE(credentials.key(process).stat().st_mode) == 0o600
        token = ServiceToken(credentials.key(process), process)()
        assert verifier(credentials).verify(token).process == process


def test_a_start_keeps_keys_and_replaces_old_ones(credentials: ProcessCredentials) -> None:
    before = key_ids(credentials)
    long_ago = time.time() - process_credentials.MOST_DAYS * 86_400 - 1
    os.utime(credentials.key("edge"), (long_ago, long_ago))
    token = ServiceToken(SigningKey.load(credentials.key("edge")), "edge")()

    credentials.ensure()

    after = key_ids(credentials)
    assert {process for process in before if before[process] != after[process]} == {"edge"}
    with pytest.raises(TokenInvalid):
        verifier(credentials).verify(token)


def test_a_rotated_key_counts_beside_the_new_one_until_its_time(credentials: ProcessCredentials) -> None:
    process_token = ServiceToken(credentials.key("tools"), "import")
    old = process_token()

    old_id = credentials.rotate("tools")
    new = process_token()
    credentials.rotate("edge")

    checks = verifier(credentials)
    assert (checks.verify(old).key_id, checks.verify(new).key_id) == (old_id, key_ids(credentials)["tools"])
    credentials.rotate("tools", grace_seconds=-1)
    with pytest.raises(TokenInvalid):
        verifier(credentials).verify(new)


def test_the_key_that_signs_tokens_is_given_to_edges_only(tmp_path: Path) -> None:
    """Worker, scheduler and every tool had it, and could have signed a token of any user."""
    ports = PortPlan([1], [2], [3], [4], dict(zip(COPIES, range(5, 10), strict=True)))
    databases = dict.fromkeys(("inventory", "content", "edge", "audit"), "postgresql://x/y")
    facts = StackFacts(UpSettings(), ports, databases, "redis://x", signing_keys.ensure(tmp_path), tmp_path)

    plans = {plan.name: plan.environment for plan in [*service_plans(facts), *edge_plans(facts), *task_plans(facts)]}

    assert [name for name, given in plans.items() if "PARTSTREAM_SIGNING_KEY_FILE" in given] == ["edge-1"]
    given = {name: one.get("PARTSTREAM_CREDENTIAL_FILE", "").rpartition("/")[2] for name, one in plans.items()}
    assert given == {
        "inventory-1": "inventory.pem",
        "content-1": "content.pem",
        "edge-1": "edge.pem",
        "worker": "",
        "scheduler": "",
    }
    assert {one["PARTSTREAM_REVOCATION_TARGETS"] for one in plans.values()} == {"127.0.0.1:4"}
    assert [process.ports for process in expected([], ports, tasks=False)][-1] == [3, 4, 7]
