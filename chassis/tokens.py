"""Access tokens: JWTs signed with Ed25519. The edge issues them; every service verifies them itself."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import time
import urllib.request
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from chassis.caller import Caller
from chassis.errors import TokenExpired, TokenInvalid
from chassis.process_keys import ProcessKey, process_user_id, read_process_keys

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

log = logging.getLogger(__name__)

ISSUER = AUDIENCE = "partstream"
_REMOTE = ("http://", "https://")
LEEWAY_SECONDS = 5  # the clocks of the hosts differ by less
SERVICE_PERMISSIONS = frozenset(
    {
        "content:read",
        "content:write",
        "content:publish",
        "stock:read",
        "stock:write",
        "reservations:commit",
        "reservations:manage",
        "changes:read",
        "followers:write",
        "audit:read",
    }
)


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def public_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """Return the public key as a JSON Web Key (RFC 8037); its id is the RFC 7638 thumbprint."""
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    core = {"crv": "Ed25519", "kty": "OKP", "x": _b64(raw)}
    thumbprint = hashlib.sha256(json.dumps(core, separators=(",", ":"), sort_keys=True).encode()).digest()
    return {**core, "kid": _b64(thumbprint), "alg": "EdDSA", "use": "sig"}


class SigningKey:
    """The private key that access tokens are signed with."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Wrap a private key."""
        self._key = key
        self.jwk = public_jwk(key.public_key())

    @classmethod
    def generate(cls) -> SigningKey:
        """Return a new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Return the key of a PEM file; raise ``ValueError`` unless it is an Ed25519 private key."""
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            message = f"{path} holds no Ed25519 private key"
            raise ValueError(message)  # noqa: TRY004 - the file's content is at fault, not a Python type
        return cls(key)

    def pem(self) -> bytes:
        """Return the key as unencrypted PKCS #8 PEM; store it with mode 0600."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def key_id(self) -> str:
        """Return the key id (``kid``) in the header of tokens."""
        return self.jwk["kid"]

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the key set for verifiers."""
        return {"keys": [self.jwk]}

    @property
    def public_key(self) -> Ed25519PublicKey:
        """Return the public key."""
        return self._key.public_key()

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of a message."""
        return self._key.sign(message)

    def mint(
        self,
        *,
        subject: str,
        name: str,
        roles: Iterable[str] = (),
        permissions: Iterable[str] = (),
        session_id: str = "",
        ttl_seconds: int = 600,
        not_before: datetime | None = None,
    ) -> str:
        """Return a signed access token.

        Tokens of the subject issued before ``not_before`` are revoked: the token is never older, even if clocks differ.
        """
        now = time.time()
        issued_at = now if not_before is None else max(now, not_before.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "name": name,
            "sid": session_id,
            "roles": sorted(roles),
            "perms": sorted(permissions),
            "iat": issued_at,
            "exp": int(now) + ttl_seconds,
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self.jwk["kid"]})


class ServiceToken:
    """The token of a process, signed with the process's own key; renewed before it expires."""

    def __init__(self, key: SigningKey | Path, name: str, *, ttl_seconds: int = 600) -> None:
        """``name`` is the process; a key file is read again for each token, so that a rotated key is used."""
        self._key = key
        self._name = name
        self._ttl = ttl_seconds
        self._token = ""
        self._renew_at = 0.0
        self._file_time = 0

    def __call__(self) -> str:
        """Return a token with at least half of its lifetime left."""
        if time.monotonic() >= self._renew_at or self._is_rotated():
            key = self._key if isinstance(self._key, SigningKey) else SigningKey.load(self._key)
            self._token = key.mint(
                subject=process_user_id(self._name),
                name=self._name,
                roles=["service"],
                permissions=SERVICE_PERMISSIONS,
                ttl_seconds=self._ttl,
            )
            self._renew_at = time.monotonic() + self._ttl / 2
        return self._token

    def _is_rotated(self) -> bool:
        """Whether the key file has changed since the token was signed; costs 1 us."""
        if isinstance(self._key, SigningKey):
            return False
        changed_at, self._file_time = self._file_time, self._key.stat().st_mtime_ns
        return changed_at != self._file_time


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    expires_at: float


class TokenVerifier:
    """Verifies tokens with key sets from a file or a URL; verified tokens are cached until they expire."""

    REMEMBERED = 4096  # an Ed25519 check costs about 100 us, a look-up 0.1 us
    # After an unknown key id the sets are read again, at most this often; a file costs 0.1 ms.
    RELOAD_SECONDS = 10.0
    RELOAD_FILE_SECONDS = 0.5

    def __init__(self, source: str, *, processes: str = "") -> None:
        """``source`` is the key set of users, ``processes`` that of processes: paths or http(s) URLs."""
        self._source = source
        self._process_source = processes
        remote = any(one.startswith(_REMOTE) for one in (source, processes))
        self._reload_seconds = self.RELOAD_SECONDS if remote else self.RELOAD_FILE_SECONDS
        self._keys: dict[str, jwt.PyJWK] = {}
        self._processes: dict[str, ProcessKey] = {}
        self._loaded_at = float("-inf")
        self._verified: dict[str, _Verified] = {}

    def verify(self, token: str) -> Caller:
        """Return the caller of a token; raise ``TokenExpired`` or ``TokenInvalid``."""
        known = self._verified.get(token)
        if known is not None and known.expires_at > time.time():
            return known.caller
        key_id, claims = self._claims(token)
        expires_at = claims["exp"] + LEEWAY_SECONDS
        process = self._processes.get(key_id)
        if process is not None:
            caller = process.caller(str(claims.get("name", "")))
        else:
            caller = Caller(
                user_id=str(uuid.UUID(claims["sub"])),
                username=str(claims.get("name", "")) or claims["sub"],
                session_id=str(claims.get("sid", "")),
                roles=frozenset(claims.get("roles", ())),
                permissions=frozenset(claims.get("perms", ())),
                issued_at=float(claims["iat"]),
                expires_at=expires_at,
                key_id=key_id,
            )
        if len(self._verified) >= self.REMEMBERED:
            self._verified.clear()
        self._verified[token] = _Verified(caller, expires_at)
        return caller

    def _claims(self, token: str) -> tuple[str, dict[str, Any]]:
        try:
            key_id = str(jwt.get_unverified_header(token).get("kid", ""))
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key_of(key_id),
                algorithms=["EdDSA"],
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "sub", "iss", "aud"]},
            )
            uuid.UUID(claims["sub"])
        except jwt.ExpiredSignatureError:
            message = "Access token expired. Refresh it, or sign in again."
            raise TokenExpired(message) from None
        except (jwt.PyJWTError, ValueError, TypeError):
            message = "Invalid access token. Sign in again."
            raise TokenInvalid(message) from None
        return key_id, claims

    def _key_of(self, key_id: str) -> jwt.PyJWK:
        found = self._find(key_id)
        if found is None and time.monotonic() - self._loaded_at > self._reload_seconds:
            self._load()
            found = self._find(key_id)
        if found is None:
            message = "Invalid access token: unknown signing key. Sign in again."
            raise TokenInvalid(message)
        return found

    def _find(self, key_id: str) -> jwt.PyJWK | None:
        process = self._processes.get(key_id)
        if process is None:
            return self._keys.get(key_id)
        return process.jwk if process.is_current else None

    def _load(self) -> None:
        self._loaded_at = time.monotonic()
        try:
            raw = _read(self._source)
            processes = read_process_keys(_read(self._process_source)) if self._process_source else {}
        except (OSError, ValueError) as error:
            log.warning("key set unreadable error=%r", error)
            return
        self._keys = {key.key_id or "": key for key in jwt.PyJWKSet.from_json(raw.decode()).keys}
        self._processes = processes


def _read(source: str) -> bytes:
    if not source.startswith(_REMOTE):
        return Path(source).read_bytes()
    with urllib.request.urlopen(source, timeout=2) as response:  # noqa: S310 - the scheme is checked
        return bytes(response.read())
