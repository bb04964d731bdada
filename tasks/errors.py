"""Errors of background work.

TaskError
├── StaleEpoch      entries of a past epoch of a log
├── TooEarly        earlier entries are not stored yet
├── BrokenSequence  a job whose entries are not contiguous
├── JobsUnavailable Redis is unavailable
└── Stopping        the process is stopping
"""


class TaskError(Exception):
    """Root of the errors of this package."""


class StaleEpoch(TaskError):
    """The entries belong to a past epoch: the trail follows a newer one."""


class TooEarly(TaskError):
    """Earlier entries are not stored yet; ``position`` is the last stored revision."""

    def __init__(self, position: int, first: int) -> None:
        """Name the last stored revision and the first of the job."""
        super().__init__(f"entry {first} cannot be stored after entry {position}")
        self.position = position
        self.first = first


class BrokenSequence(TaskError):
    """The revisions of a job are not the contiguous range that it declares."""


class JobsUnavailable(TaskError):
    """Redis is unavailable: no job can be queued."""


class Stopping(TaskError):
    """The process stops during a job, which another process repeats."""
