"""Errors of background work.

TaskError
├── StaleEpoch      entries of an epoch before that of the trail
├── TooEarly        entries before these are not stored yet
├── BrokenSequence  a job whose revisions are not contiguous
├── JobsUnavailable Redis is unavailable
└── Stopping        the process is being stopped
"""


class TaskError(Exception):
    """Root of the errors of this package."""


class StaleEpoch(TaskError):
    """The entries belong to an epoch before the one that the trail follows."""


class TooEarly(TaskError):
    """Entries that come before these are not stored yet; ``position`` is the last one that is."""

    def __init__(self, position: int, first: int) -> None:
        """``first`` is the first entry of the job."""
        super().__init__(f"the job starts at entry {first}, but the last stored entry is {position}")
        self.position = position
        self.first = first


class BrokenSequence(TaskError):
    """The revisions of a job are not the contiguous range that it declares."""


class JobsUnavailable(TaskError):
    """Redis is unavailable: no job can be queued."""


class Stopping(TaskError):
    """The process stops during a job; another process repeats it."""
