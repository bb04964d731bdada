"""Everything that can go wrong with a replay.

MovementsUnreadable     the movements file is missing, damaged, or has a row that means nothing
└── MovementWrong       one row: which, and what is wrong with it
ReplayStopped           the service refused to go on
"""

from __future__ import annotations

from stack.errors import StackError


class MovementsUnreadable(StackError):
    """The movements file cannot be read, or not to its end."""


class MovementWrong(MovementsUnreadable):
    """One row means nothing; the message says which and why."""


class ReplayStopped(StackError):
    """The service refused what a replay cannot do without."""
