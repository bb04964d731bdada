"""Composition of identity: what the rest of the edge uses of this package."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.identity.accounts import Accounts
from edge.identity.administration import UserAdministration
from edge.identity.authenticator import Authenticator
from edge.identity.browser_sessions import BrowserSessions
from edge.identity.lockout import Lockout
from edge.identity.passwords import Passwords
from edge.identity.registration import Registration
from edge.identity.security_events import SecurityEvents
from edge.identity.sessions import Sessions
from edge.identity.upkeep import IdentityUpkeep
from edge.identity.users import Users

if TYPE_CHECKING:
    from datetime import timedelta

    from chassis.database import Database
    from chassis.tokens import SigningKey, TokenVerifier
    from edge.identity.revocation_feed import RevocationFeed


@dataclass(frozen=True, slots=True)
class Identity:
    """Sign-in, administration, registration, authentication and security events."""

    accounts: Accounts
    administration: UserAdministration
    registration: Registration
    browsers: BrowserSessions
    authenticator: Authenticator
    events: SecurityEvents
    upkeep: IdentityUpkeep


def assemble_identity(
    database: Database,
    key: SigningKey,
    verifier: TokenVerifier,
    revocations: RevocationFeed,
    *,
    registration_open: bool,
    keep_events_for: timedelta,
) -> Identity:
    """Construct everything on one database; ``key`` signs tokens, ``verifier`` and revocations check them."""
    sessions, users = Sessions(database, revocations.catch_up), Users(database, revocations.catch_up)
    passwords, events = Passwords(), SecurityEvents(database)
    lockout = Lockout(database)
    browsers = BrowserSessions(sessions, key, revocations.entries)
    return Identity(
        accounts=Accounts(
            users=users,
            sessions=sessions,
            passwords=passwords,
            lockout=lockout,
            events=events,
            key=key,
        ),
        administration=UserAdministration(users, sessions, passwords, lockout, events),
        registration=Registration(users, passwords, lockout, events, is_open=registration_open),
        browsers=browsers,
        authenticator=Authenticator(verifier, revocations.entries, browsers),
        events=events,
        upkeep=IdentityUpkeep(database, keep_events_for),
    )
