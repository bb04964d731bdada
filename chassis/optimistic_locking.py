"""Optimistic concurrency control: a write names the version that it replaces. Standard library and errors only."""

from __future__ import annotations

from chassis.errors import ConcurrencyError


class OptimisticLockingMixin:
    """For rows with a dense ``version``, which is compared under the lock of the row."""

    __slots__ = ()

    version: int

    def check_version(self, expected: int | None) -> None:
        """Raise ``ConcurrencyError`` with this row as ``current`` when ``expected`` is given and stale."""
        if expected is not None and expected != self.version:
            raise self.version_conflict(expected)

    def version_conflict(self, expected: int) -> ConcurrencyError:
        """Return the error for a stale version; override it to name the row and who changed it."""
        message = f"Version {expected} was expected, but the current version is {self.version}."
        return ConcurrencyError(message, current=self, metadata={"current_version": str(self.version)})
