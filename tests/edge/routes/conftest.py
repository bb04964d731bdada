"""Both services run in the test's own process."""

from collections.abc import AsyncIterator

import pytest

import content_svc.app
import content_svc.settings
import inventory_svc.app
import inventory_svc.settings
from tests.edge.conftest import Keys
from tests.harness.no_limits import without_rates


@pytest.fixture
async def targets(inventory_dsn: str, content_dsn: str, keys: Keys) -> AsyncIterator[tuple[str, str]]:
    """Addresses of a running inventory and a running content service."""
    content = await content_svc.app.start(
        content_svc.settings.Settings(
            database_url=content_dsn,
            jwks=str(keys.jwks),
            process_keys=str(keys.process_keys),
            port=0,
            revocation_targets=None,
            limits=without_rates(),
        )
    )
    inventory = await inventory_svc.app.start(
        inventory_svc.settings.Settings(
            database_url=inventory_dsn,
            jwks=str(keys.jwks),
            process_keys=str(keys.process_keys),
            port=0,
            revocation_targets=None,
            limits=without_rates(),
            content_targets=(f"127.0.0.1:{content.server.port}",),
            credential_file=keys.credential_file,
        )
    )
    yield f"127.0.0.1:{inventory.server.port}", f"127.0.0.1:{content.server.port}"
    await inventory.stop()
    await content.stop()
