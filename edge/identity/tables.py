"""The tables of the edge's database that the query builder uses.

Indexes, constraints and triggers are in the migrations. The defaults of columns are the database's: rows are inserted
with ``chassis.database.new_row``.
"""

import warnings
from typing import Any

from piccolo.columns import JSONB, UUID, Array, BigInt, Boolean, Bytea, ForeignKey, Text, Timestamptz
from piccolo.table import Table

from chassis.database import TABLE_ENGINE

# Piccolo advises against this name because SQL reserves it; every statement quotes it.
warnings.filterwarnings("ignore", message="We recommend giving your table a different name as `user`")


class User(Table, tablename="user", db=TABLE_ENGINE):
    """A person or a program that signs in."""

    user_id = UUID(primary_key=True, default=None)
    username = Text(help_text="ASCII; compared without regard to case")
    password_hash = Text(secret=True)
    roles = Array(base_column=Text(), help_text="a set: the database rejects duplicates")
    disabled_at = Timestamptz(null=True, default=None)
    created_at = Timestamptz()
    updated_at = Timestamptz()
    tokens_not_before = Timestamptz(
        null=True, default=None, help_text="set by a trigger when rights change; older access tokens are revoked"
    )


class Session(Table, tablename="session", db=TABLE_ENGINE):
    """One sign-in; the family of its refresh tokens."""

    session_id = UUID(primary_key=True, default=None)
    user_id: ForeignKey[Any] = ForeignKey(User, null=False)
    client_ip = Text()
    user_agent = Text()
    created_at = Timestamptz()
    last_seen_at = Timestamptz()
    expires_at = Timestamptz()
    revoked_at = Timestamptz(null=True, default=None)
    revoked_for = Text()


class RefreshToken(Table, tablename="refresh_token", db=TABLE_ENGINE):
    """The hash of a refresh token, which is valid once."""

    token_hash = Bytea(primary_key=True, default=None, help_text="SHA-256")
    session_id: ForeignKey[Any] = ForeignKey(Session, null=False)
    issued_at = Timestamptz()
    expires_at = Timestamptz()
    used_at = Timestamptz(null=True, default=None)


class LoginAttempt(Table, tablename="login_attempt", db=TABLE_ENGINE):
    """An attempt to sign in or to register, counted by the lock-out."""

    login_attempt_id = BigInt(primary_key=True, default=None)
    purpose = Text(help_text="sign_in or registration")
    username = Text()
    client_ip = Text()
    succeeded = Boolean()
    attempted_at = Timestamptz()


class SecurityEvent(Table, tablename="security_event", db=TABLE_ENGINE):
    """A sign-in, a denial, a change of an account. Append-only; repeated events of a minute share a row."""

    security_event_id = BigInt(primary_key=True, default=None)
    occurred_at = Timestamptz()
    kind = Text()
    user_id = UUID(null=True, default=None)
    username = Text()
    session_id = UUID(null=True, default=None)
    client_ip = Text()
    request_id = Text()
    details = JSONB()
    occurrences = BigInt(help_text="events that the row stands for")
    last_at = Timestamptz(null=True, default=None, help_text="time of the last of them; null for a single event")
    aggregate = Text(null=True, default=None, help_text="key of repeated events")


class Revocation(Table, tablename="revocation", db=TABLE_ENGINE):
    """Tokens of a session, a user or a key that are revoked; written by triggers, numbered in the order of commits."""

    revocation_id = BigInt(primary_key=True, default=None)
    kind = Text(help_text="session, user or key")
    subject = Text()
    not_before = Timestamptz(null=True, default=None, help_text="of a user: tokens from then on are valid")
    revoked_at = Timestamptz()
    expires_at = Timestamptz(null=True, default=None, help_text="null: permanently")


TABLES: tuple[type[Table], ...] = (User, Session, RefreshToken, LoginAttempt, SecurityEvent, Revocation)
