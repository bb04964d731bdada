"""The edge's tables as Piccolo sees them; indexes, constraints and guards are in ``schema``."""

import warnings

from piccolo.columns import JSONB, UUID, Array, BigInt, Boolean, Bytea, Text, Timestamptz
from piccolo.table import Table

# Piccolo advises against this name because SQL reserves it; every statement of ours quotes it.
warnings.filterwarnings("ignore", message="We recommend giving your table a different name as `user`")


class User(Table, tablename="user"):
    """A person or a program that signs in."""

    user_id = UUID(primary_key=True)
    username = Text()
    password_hash = Text()
    roles = Array(base_column=Text())
    disabled_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz()
    updated_at = Timestamptz()
    tokens_not_before = Timestamptz(null=True, default=None)


class Session(Table, tablename="session"):
    """One sign-in; the family of its refresh tokens."""

    session_id = UUID(primary_key=True)
    user_id = UUID()
    client_ip = Text()
    user_agent = Text()
    created_at = Timestamptz()
    last_seen_at = Timestamptz()
    expires_at = Timestamptz()
    revoked_at = Timestamptz(null=True, default=None)
    revoked_for = Text()


class RefreshToken(Table, tablename="refresh_token"):
    """The SHA-256 of a refresh token; good for one use."""

    token_hash = Bytea(primary_key=True)
    session_id = UUID()
    issued_at = Timestamptz()
    expires_at = Timestamptz()
    used_at = Timestamptz(null=True, default=None)


class LoginAttempt(Table, tablename="login_attempt"):
    """One attempt to sign in, for the lock-out."""

    login_attempt_id = BigInt(primary_key=True)
    purpose = Text()
    username = Text()
    client_ip = Text()
    succeeded = Boolean()
    attempted_at = Timestamptz()


class SecurityEvent(Table, tablename="security_event"):
    """A fact about who signed in, was let through or was turned away. Append-only."""

    security_event_id = BigInt(primary_key=True)
    occurred_at = Timestamptz()
    kind = Text()
    user_id = UUID(null=True, default=None)
    username = Text()
    session_id = UUID(null=True, default=None)
    client_ip = Text()
    request_id = Text()
    details = JSONB()
    occurrences = BigInt()
    last_at = Timestamptz(null=True, default=None)
    aggregate = Text(null=True, default=None)


class Revocation(Table, tablename="revocation"):
    """Tokens that no longer count, of a session, a user or a key; written by triggers, in the order of commits."""

    revocation_id = BigInt(primary_key=True)
    kind = Text()
    subject = Text()
    not_before = Timestamptz(null=True, default=None)
    revoked_at = Timestamptz()
    expires_at = Timestamptz(null=True, default=None)
