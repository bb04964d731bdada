"""An operation is repeated after expected failures only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from chassis.background import Backoff
from chassis.retry import retry


def failing(*failures: Exception) -> Callable[[], Awaitable[str]]:
    """Return an operation that raises these, then succeeds."""
    pending = list(failures)

    async def operation() -> str:
        if pending:
            raise pending.pop(0)
        return "done"

    return operation


def quick() -> Backoff:
    return Backoff(0.001, 0.002)


async def test_the_result_follows_the_expected_failures() -> None:
    reported: list[str] = []
    operation = failing(OSError("first"), OSError("second"))

    result = await retry(operation, OSError, quick(), lambda error, _: reported.append(str(error)))

    assert result == "done"
    assert reported == ["first", "second"]


async def test_another_failure_ends_the_attempts() -> None:
    with pytest.raises(ValueError, match="wrong"):
        await retry(failing(OSError(), ValueError("wrong")), OSError, quick())


async def test_an_error_of_the_report_ends_the_attempts() -> None:
    def give_up(error: Exception, _: float) -> None:
        raise LookupError from error

    with pytest.raises(LookupError):
        await retry(failing(OSError()), OSError, quick(), give_up)
