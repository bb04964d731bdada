"""Why a socket is closed, and what is rejected without closing it.

::

    LiveError
    ├── Rejected            an error frame; the socket stays open
    └── CloseSocket         the socket is closed with a code
        ├── Restarting      1012
        ├── TokenEnded      4001
        ├── NotAllowed      4003
        ├── TooSlow         4008
        ├── LimitReached    4009
        ├── BadMessage      4400
        └── ResyncNeeded    4410
"""

from __future__ import annotations

from typing import ClassVar


class LiveError(Exception):
    """An error that is sent to the client."""

    def __init__(self, reason: str, message: str) -> None:
        """``reason`` is for programs, ``message`` for people."""
        super().__init__(message)
        self.reason = reason
        self.message = message


class Rejected(LiveError):
    """The request is rejected; the connection stays open."""


class CloseSocket(LiveError):
    """The connection is closed."""

    code: ClassVar[int] = 1011


class Restarting(CloseSocket):
    """The server shuts down: reconnect with jitter."""

    code = 1012

    def __init__(self) -> None:
        super().__init__("DRAINING", "The server is restarting: connect again.")


class TokenEnded(CloseSocket):
    """The token expired without a new one, or its session was ended."""

    code = 4001


class NotAllowed(CloseSocket):
    """The origin of the page is not allowed."""

    code = 4003


class TooSlow(CloseSocket):
    """The client reads more slowly than events arrive: reconnect and resume."""

    code = 4008

    def __init__(self) -> None:
        super().__init__(
            "WATCHER_TOO_SLOW", "Your connection did not keep up with the events: connect again from your last cursor."
        )


class LimitReached(CloseSocket):
    """A limit of the connection is reached."""

    code = 4009


class BadMessage(CloseSocket):
    """The client sent an invalid message: do not send it again."""

    code = 4400

    def __init__(self, message: str) -> None:
        super().__init__("FIELD_INVALID", message)


class ResyncNeeded(CloseSocket):
    """The log has a new epoch or was compacted: reconnect without a cursor."""

    code = 4410

    def __init__(self) -> None:
        super().__init__("EPOCH_CHANGED", "Your state may be out of date: connect again and take a new snapshot.")
