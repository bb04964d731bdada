"""One stack for all tests of this folder, with an admin."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.flow.admin import Admin
from tests.flow.running_stack import RunningStack

# A stack starts in ten seconds on a quiet machine, and in a minute beside other work; so does what a test kills.
TIMEOUT_SECONDS = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of the whole stack the time that starting and restarting processes takes."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """A running, empty stack with two edges."""
    folder = Path(tempfile.mkdtemp(prefix="partstream-flow-"))
    running = RunningStack(folder)
    running.start()
    yield running
    running.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
async def admin(stack: RunningStack) -> AsyncIterator[Admin]:
    """The stack's admin, signed in."""
    async with Admin(stack) as signed_in:
        yield signed_in
