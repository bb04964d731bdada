"""The caller and the request id of the call being served: set once by the interceptor, read anywhere below it."""

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
    issued_at: float = math.inf  # seconds since the epoch, like `expires_at`
    expires_at: float = math.inf
    key_id: str = ""  # of the key that signed the token
    process: str = ""  # the process whose credential was used; empty for users
    by_process: bool = False  # a process of the system makes the call, for the caller or for itself

    @property
    def is_anonymous(self) -> bool:
        """Whether the call has no token."""
        return self.user_id == ANONYMOUS_ID

    def may(self, permission: str) -> bool:
        """Whether the caller holds the permission."""
        return permission in self.permissions


ANONYMOUS = Caller(ANONYMOUS_ID, "anonymous")


@dataclass(frozen=True, slots=True)
class CallContext:
    """The context of a call. ``request_id`` correlates logs; it is not the idempotency key."""

    caller: Caller = ANONYMOUS
    request_id: str = ""
    traceparent: str = ""


_NO_CALL = CallContext()
_current: ContextVar[CallContext] = ContextVar("partstream_request", default=_NO_CALL)


def current_request() -> CallContext:
    """Return the context of the call being served; an anonymous one outside any call."""
    return _current.get()


def set_current_request(context: CallContext) -> None:
    """Set the context for the present task. For interceptors only."""
    _current.set(context)


def current_caller() -> Caller:
    """Return the caller of the call being served."""
    return _current.get().caller


def require(permission: str) -> Caller:
    """Return the caller if it has the permission; else raise ``TokenMissing`` or ``PermissionMissing``.

    Call it before reading data, so that the error reveals nothing about the data.
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
    """Return the caller if it is a process of the system; else raise ``TokenMissing`` or ``PermissionMissing``."""
    caller = current_caller()
    if caller.process:
        return caller
    if caller.is_anonymous:
        message = "This call requires the credential of a process. Send its token."
        raise TokenMissing(message)
    message = "Permission denied. Only processes of the system may make this call."
    raise PermissionMissing(message)
