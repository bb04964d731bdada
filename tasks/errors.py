"""What goes wrong in background work.

TaskError
├── StaleEpoch      entries of a log that the trail has left behind
├── TooEarly        entries before these are not stored yet
├── BrokenSequence  a job whose entries do not follow each other
├── JobsUnavailable Redis is away
└── Stopping        the process is being stopped
"""


class TaskError(Exception):
    """Root of this room's errors."""


class StaleEpoch(TaskError):
    """The entries belong to an epoch that the trail has left: it follows a newer one."""


class TooEarly(TaskError):
    """Entries that come before these are not stored yet; ``position`` is the last one that is."""

    def __init__(self, position: int, first: int) -> None:
        """Say what is stored and what was brought."""
        super().__init__(f"entry {first} was brought, but {position} is the last one stored")
        self.position = position
        self.first = first


class BrokenSequence(TaskError):
    """A job is not what it says: its revisions are not the dense range it announces."""


class JobsUnavailable(TaskError):
    """Redis is away: nothing can be queued now."""


class Stopping(TaskError):
    """The process is being stopped in the middle of a job, which another one will do."""
