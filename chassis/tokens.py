"""Access tokens: Ed25519-signed JWTs. The edge mints them, every service verifies them itself."""

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

if TYPE_CHECKING:
    from collections.abc import Iterable

log = logging.getLogger(__name__)

ISSUER = AUDIENCE = "partstream"
LEEWAY_SECONDS = 5  # clocks of one fleet differ by less
SERVICE_PERMISSIONS = frozenset(
    {
        "content:read",
        "content:write",
        "content:publish",
        "content:rollback",
        "content:delete",
        "stock:read",
        "stock:write",
        "reservations:commit",
        "reservations:manage",
        "changes:read",
        "audit:read",
    }
)


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def public_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """The public key as a JSON Web Key (RFC 8037); its id is the RFC 7638 thumbprint."""
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
        """A new key."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """The key of a PEM file; ``ValueError`` when it is not an Ed25519 private key."""
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            message = f"{path} holds no Ed25519 private key"
            raise ValueError(message)  # noqa: TRY004 - the file's content is at fault, not a Python type
        return cls(key)

    def pem(self) -> bytes:
        """The key as unencrypted PKCS #8 PEM; store it with mode 0600."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """The key set that verifiers read."""
        return {"keys": [self.jwk]}

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The key that verifies what this one signs."""
        return self._key.public_key()

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature of a message."""
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
    ) -> str:
        """A signed access token."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "name": name,
            "sid": session_id,
            "roles": sorted(roles),
            "perms": sorted(permissions),
            "iat": now,
            "exp": now + ttl_seconds,
            "jti": uuid.uuid4().hex,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA", headers={"kid": self.jwk["kid"]})


class ServiceToken:
    """The token of a process that holds the signing key; renewed before it ends."""

    def __init__(self, key: SigningKey, name: str, *, ttl_seconds: int = 600) -> None:
        """Name the process; its user id is derived from the name, so that restarts are the same actor."""
        self._key = key
        self._name = name
        self._ttl = ttl_seconds
        self._subject = str(uuid.uuid5(uuid.NAMESPACE_URL, f"partstream:service:{name}"))
        self._token = ""
        self._renew_at = 0.0

    def __call__(self) -> str:
        """A token with at least half of its life before it."""
        if time.monotonic() >= self._renew_at:
            self._token = self._key.mint(
                subject=self._subject,
                name=self._name,
                roles=["service"],
                permissions=SERVICE_PERMISSIONS,
                ttl_seconds=self._ttl,
            )
            self._renew_at = time.monotonic() + self._ttl / 2
        return self._token


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    expires_at: float


class TokenVerifier:
    """Checks tokens against a key set from a file or an address; verified tokens are remembered until they end."""

    REMEMBERED = 4096  # an Ed25519 check costs about 100 us, a look-up 0.1 us
    RELOAD_SECONDS = 10.0  # a token with an unknown key id makes the set be read again at most this often

    def __init__(self, source: str) -> None:
        """Name the JWKS: a path, or an http(s) address."""
        self._source = source
        self._keys: dict[str, jwt.PyJWK] = {}
        self._loaded_at = float("-inf")
        self._verified: dict[str, _Verified] = {}

    def verify(self, token: str) -> Caller:
        """The caller behind a token; ``TokenExpired`` or ``TokenInvalid`` otherwise."""
        known = self._verified.get(token)
        if known is not None and known.expires_at > time.time():
            return known.caller
        claims = self._claims(token)
        caller = Caller(
            user_id=str(uuid.UUID(claims["sub"])),
            username=str(claims.get("name", "")) or claims["sub"],
            session_id=str(claims.get("sid", "")),
            roles=frozenset(claims.get("roles", ())),
            permissions=frozenset(claims.get("perms", ())),
        )
        if len(self._verified) >= self.REMEMBERED:
            self._verified.clear()
        self._verified[token] = _Verified(caller, claims["exp"] + LEEWAY_SECONDS)
        return caller

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            key = self._key_of(jwt.get_unverified_header(token).get("kid", ""))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["EdDSA"],
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "sub", "iss", "aud"]},
            )
            uuid.UUID(claims["sub"])
        except jwt.ExpiredSignatureError:
            message = "The token's time is over: sign in again or refresh it."
            raise TokenExpired(message) from None
        except (jwt.PyJWTError, ValueError, TypeError):
            message = "The token cannot be accepted."
            raise TokenInvalid(message) from None
        return claims

    def _key_of(self, key_id: str) -> jwt.PyJWK:
        if key_id not in self._keys and time.monotonic() - self._loaded_at > self.RELOAD_SECONDS:
            self._load()
        if key_id not in self._keys:
            message = "The token is signed with a key that is not ours."
            raise TokenInvalid(message)
        return self._keys[key_id]

    def _load(self) -> None:
        self._loaded_at = time.monotonic()
        try:
            raw = self._read()
        except OSError as error:
            log.warning("the key set cannot be read: %s", error)
            return
        self._keys = {key.key_id or "": key for key in jwt.PyJWKSet.from_json(raw.decode()).keys}

    def _read(self) -> bytes:
        if not self._source.startswith(("http://", "https://")):
            return Path(self._source).read_bytes()
        with urllib.request.urlopen(self._source, timeout=2) as response:  # noqa: S310 - the scheme is checked
            return bytes(response.read())
