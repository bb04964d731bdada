"""Processes authenticate with keys of their own: permissions, names and expiry of their tokens."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from chassis import errors
from chassis.call_facts import authenticate, is_read, safe_request_id
from chassis.process_keys import UNTIL, entry, process_user_id
from chassis.revocation.listing import Revocation, RevocationList
from chassis.tokens import ServiceToken, SigningKey, TokenVerifier

if TYPE_CHECKING:
    from pathlib import Path

    from chassis.caller import Caller

SUBJECT = "11111111-1111-4111-8111-111111111111"
PEER = "ipv4:192.0.2.50:4711"


class Gate:
    """The key sets of a service, and its authentication of a call."""

    def __init__(self, folder: Path) -> None:
        self.users, self.edge, self.tools = SigningKey.generate(), SigningKey.generate(), SigningKey.generate()
        self.folder = folder
        self.revocations = RevocationList()
        self.write()
        (folder / "users.json").write_text(json.dumps(self.users.jwks()))

    def write(self, **of_edge: Any) -> None:
        keys = [{**entry(self.edge.jwk, "edge"), **of_edge}, entry(self.tools.jwk, "tools")]
        (self.folder / "processes.json").write_text(json.dumps({"keys": keys}))
        self.verifier = TokenVerifier(str(self.folder / "users.json"), processes=str(self.folder / "processes.json"))

    def caller(self, **metadata: str) -> Caller:
        named = {name.replace("_", "-"): value for name, value in metadata.items()}
        return authenticate(named, PEER, self.verifier, self.revocations)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


def test_a_process_has_the_permissions_of_its_key_not_of_its_token(gate: Gate) -> None:
    forged = gate.edge.mint(subject=SUBJECT, name="admin", roles=["admin"], permissions=["users:write", "stock:write"])

    caller = gate.caller(authorization=f"Bearer {forged}")

    assert (caller.username, caller.user_id, caller.process) == ("edge", process_user_id("edge"), "edge")
    assert not caller.may("users:write")
    assert not caller.may("stock:write")
    assert caller.may("followers:write")


def test_only_tools_choose_their_name_and_not_that_of_another_process(gate: Gate) -> None:
    names = {
        (key, name): gate.caller(authorization=f"Bearer {ServiceToken(signer, name)()}").username
        for key, signer in (("tools", gate.tools), ("edge", gate.edge))
        for name in ("import", "inventory", "Ünder")
    }

    assert names[("tools", "import")] == "import"
    assert set(names.values()) == {"import", "tools", "edge"}


def test_the_client_address_is_accepted_from_a_process_only(gate: Gate) -> None:
    user = f"Bearer {gate.users.mint(subject=SUBJECT, name='ada', roles=['service'])}"
    edge = ServiceToken(gate.edge, "edge")()

    alone = gate.caller(authorization=user, partstream_client_ip="6.6.6.6")
    vouched = gate.caller(authorization=user, partstream_process=edge, partstream_client_ip="6.6.6.6")
    guest = gate.caller(partstream_process=edge, partstream_client_ip="2001:DB8::7")
    itself = gate.caller(authorization=f"Bearer {edge}", partstream_client_ip="6.6.6.6")

    assert (alone.username, alone.client_ip) == ("ada", "192.0.2.50")
    assert (vouched.username, vouched.client_ip, vouched.process) == ("ada", "6.6.6.6", "")
    assert (guest.is_anonymous, guest.client_ip) == (True, "2001:db8::7")
    assert itself.client_ip == "6.6.6.6"


def test_a_user_token_is_no_credential_of_a_process(gate: Gate) -> None:
    user = gate.users.mint(subject=SUBJECT, name="edge", roles=["service"])

    with pytest.raises(errors.TokenInvalid):
        gate.caller(partstream_process=user, partstream_client_ip="6.6.6.6")


def test_a_revoked_key_is_invalid(gate: Gate) -> None:
    token = ServiceToken(gate.edge, "edge")()
    assert gate.caller(partstream_process=token).is_anonymous

    gate.revocations.apply([Revocation("key", gate.edge.key_id)])

    for metadata in ({"partstream_process": token}, {"authorization": f"Bearer {token}"}):
        with pytest.raises(errors.TokenRevoked):
            gate.caller(**metadata)


def test_a_rotated_key_is_valid_until_its_expiry(gate: Gate) -> None:
    token = ServiceToken(gate.edge, "edge")()
    gate.write(**{UNTIL: time.time() + 60})
    assert gate.caller(authorization=f"Bearer {token}").process == "edge"

    gate.write(**{UNTIL: time.time() - 1})

    with pytest.raises(errors.TokenInvalid):
        gate.caller(authorization=f"Bearer {token}")


def test_a_process_uses_a_rotated_key_from_its_file(gate: Gate, tmp_path: Path) -> None:
    file = tmp_path / "edge.pem"
    file.write_bytes(gate.edge.pem())
    token = ServiceToken(file, "edge", ttl_seconds=0)
    before = gate.verifier.verify(ServiceToken(file, "edge")()).key_id

    file.write_bytes(gate.tools.pem())

    assert (before, gate.verifier.verify(token()).key_id) == (gate.edge.key_id, gate.tools.key_id)


@pytest.mark.parametrize(
    ("method", "reads"),
    [
        ("GetStock", True),
        ("BatchGetStock", True),
        ("ListParts", True),
        ("WatchParts", True),
        ("SnapshotStock", True),
        ("AdjustStock", False),
        ("BatchAdjustStock", False),
        ("ReportPosition", False),
        ("Getaway", False),
    ],
)
def test_a_method_reads_by_its_name(method: str, reads: bool) -> None:
    assert is_read(f"/partstream.inventory.v1.InventoryService/{method}") is reads


@pytest.mark.parametrize("text", ["", "a b", "<script>", "x" * 101, "a\nb"])
def test_a_request_id_with_other_characters_is_ignored(text: str) -> None:
    assert safe_request_id(text) == ""
