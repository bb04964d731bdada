"""Who asks, under which request id: set once per call by the border, read anywhere below it."""

from __future__ import annotations

import math
from contextvars import ContextVar
from dataclasses import dataclass

from chassis.errors import PermissionMissing, TokenMissing

ANONYMOUS_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified caller, or ``ANONYMOUS``."""

    user_id: str
    username: str
    session_id: str = ""
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    client_ip: str = ""
    issued_at: float = math.inf  # seconds since the epoch, as is the next; nothing was issued to the anonymous caller
    expires_at: float = math.inf
    key_id: str = ""  # of the key that signed the token
    process: str = ""  # name of the process whose credential was shown; empty for people and their programs
    by_process: bool = False  # a process of ours makes the call, for the caller or for itself

    @property
    def is_anonymous(self) -> bool:
        """Whether no token was brought."""
        return self.user_id == ANONYMOUS_ID

    def may(self, permission: str) -> bool:
        """Whether the caller holds the permission."""
        return permission in self.permissions


ANONYMOUS = Caller(ANONYMOUS_ID, "anonymous")


@dataclass(frozen=True, slots=True)
class CallContext:
    """What a call carries besides its message. ``request_id`` correlates logs; it is not the idempotency key."""

    caller: Caller = ANONYMOUS
    request_id: str = ""
    traceparent: str = ""


_NOBODY = CallContext()
_current: ContextVar[CallContext] = ContextVar("partstream_request", default=_NOBODY)


def current_request() -> CallContext:
    """The context of the call being served; an anonymous one outside any call."""
    return _current.get()


def set_current_request(context: CallContext) -> None:
    """Set the context for the present task. For borders only."""
    _current.set(context)


def current_caller() -> Caller:
    """The caller of the call being served."""
    return _current.get().caller


def require(permission: str) -> Caller:
    """The caller, if it holds the permission; else ``TokenMissing`` or ``PermissionMissing``.

    Call it before looking whether anything exists, so that a refusal tells nothing about the data.
    """
    caller = current_caller()
    if caller.may(permission):
        return caller
    if caller.is_anonymous:
        message = "Sign in first: this call needs a token."
        raise TokenMissing(message, metadata={"permission": permission})
    message = f"You are not allowed to do this: it needs the permission {permission}."
    raise PermissionMissing(message, metadata={"permission": permission})


def require_process() -> Caller:
    """The caller, if it is one of our own processes; else ``TokenMissing`` or ``PermissionMissing``."""
    caller = current_caller()
    if caller.process:
        return caller
    if caller.is_anonymous:
        message = "This call needs the credential of a process."
        raise TokenMissing(message)
    message = "This call is for processes of the system only."
    raise PermissionMissing(message)
