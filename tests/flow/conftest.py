"""One stack for all tests of this folder, with an admin."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.flow.admin import Admin
from tests.flow.running_stack import RunningStack


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
