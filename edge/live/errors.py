"""Why a socket is closed, and what is refused without closing it.

::

    LiveError
    ├── Refused             an error frame; the socket stays open
    └── CloseSocket         the socket is closed with a code
        ├── Restarting      1012
        ├── TokenOver       4001
        ├── NotAllowed      4003
        ├── TooSlow         4008
        ├── LimitReached    4009
        ├── BadMessage      4400
        └── ResyncNeeded    4410
"""

from __future__ import annotations

from typing import ClassVar


class LiveError(Exception):
    """Something the client is told."""

    def __init__(self, reason: str, message: str) -> None:
        """``reason`` is for programs, ``message`` for people."""
        super().__init__(message)
        self.reason = reason
        self.message = message


class Rejected(LiveError):
    """What was asked is not done; the connection goes on."""


class CloseSocket(LiveError):
    """The connection ends."""

    code: ClassVar[int] = 1011


class Restarting(CloseSocket):
    """This process is being replaced: connect again with jitter."""

    code = 1012

    def __init__(self) -> None:
        super().__init__("DRAINING", "This server is being replaced: connect again.")


class TokenEnded(CloseSocket):
    """The token's time is over and no new one came, or the session was ended."""

    code = 4001


class NotAllowed(CloseSocket):
    """The page that opened the socket is not one of ours."""

    code = 4003


class TooSlow(CloseSocket):
    """The client does not read as fast as events come: connect again and resume."""

    code = 4008

    def __init__(self) -> None:
        super().__init__(
            "WATCHER_TOO_SLOW", "You did not keep up with the events: connect again from your last cursor."
        )


class LimitReached(CloseSocket):
    """A limit of the connection is reached."""

    code = 4009


class BadMessage(CloseSocket):
    """The client sent what cannot be read: do not send it again."""

    code = 4400

    def __init__(self, message: str) -> None:
        super().__init__("FIELD_INVALID", message)


class ResyncNeeded(CloseSocket):
    """The log was begun anew or cut: connect again without a cursor."""

    code = 4410

    def __init__(self) -> None:
        super().__init__("EPOCH_CHANGED", "What you have may be out of date: connect again and take a new snapshot.")
