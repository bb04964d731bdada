"""Authenticates a gRPC call: who makes it, and which of its metadata is trusted.

A caller is authenticated by ``authorization``. A process of the system that calls for a user adds its own token as
``partstream-process``. Only then, or when the caller itself is a process, the client's address is taken from the
metadata. Otherwise the address of the peer counts, on loopback too.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from chassis.caller import ANONYMOUS, Caller
from chassis.errors import TokenInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chassis.revocation.listing import RevocationList
    from chassis.tokens import TokenVerifier

PROCESS_HEADER: Final = "partstream-process"
CLIENT_IP_HEADER: Final = "partstream-client-ip"
REQUEST_ID_HEADER: Final = "partstream-request-id"

_SAFE_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,100}")
# Every other method is a write.
_READS: Final = re.compile(r"(Get|BatchGet|List|Compare|Preview|Snapshot|Watch)(?![a-z])\w*")


def is_read(method: str) -> bool:
    """Whether a method, given as ``/package.Service/Method``, only reads."""
    return _READS.fullmatch(method.rpartition("/")[2]) is not None


def authenticate(
    metadata: Mapping[str, str], peer: str, verifier: TokenVerifier, revocations: RevocationList
) -> Caller:
    """Return the caller; raise ``TokenInvalid``, ``TokenExpired`` or ``TokenRevoked`` for a token that is not valid."""
    caller = ANONYMOUS
    if header := metadata.get("authorization", ""):
        caller = _verified(_bearer(header), verifier, revocations)
    vouched = bool(caller.process)
    if token := metadata.get(PROCESS_HEADER, ""):
        vouched = bool(_verified(token, verifier, revocations).process)
        if not vouched:
            message = f"Invalid process token. Send the token of a process as {PROCESS_HEADER}, or omit it."
            raise TokenInvalid(message)
    address = valid_address(metadata.get(CLIENT_IP_HEADER, "")) if vouched else ""
    client_ip = address or peer_address(peer)
    if not client_ip and not vouched:
        return caller
    return dataclasses.replace(caller, client_ip=client_ip, by_process=vouched)


def safe_request_id(text: str) -> str:
    """Return the request id of a caller; empty unless it has 1 to 100 permitted characters."""
    return text if _SAFE_ID.fullmatch(text) else ""


def _verified(token: str, verifier: TokenVerifier, revocations: RevocationList) -> Caller:
    caller = verifier.verify(token)
    revocations.check(caller)
    return caller


def _bearer(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token:
        message = "Invalid authorization. Send `Bearer <token>`."
        raise TokenInvalid(message)
    return token


@lru_cache(4096)
def valid_address(text: str) -> str:
    """Return an IP address in canonical form; empty for any other text."""
    try:
        return str(ipaddress.ip_address(text)) if "%" not in text else ""
    except ValueError:
        return ""


@lru_cache(1024)
def peer_address(peer: str) -> str:
    """Return the IP address in gRPC's name of a peer; empty for a UNIX socket."""
    kind, _, place = peer.partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return ""
    return unquote(place).rpartition(":")[0].strip("[]")
