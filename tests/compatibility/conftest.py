"""The option that records additions to the interfaces."""

import pytest


@pytest.fixture
def renew_baselines(request: pytest.FixtureRequest) -> bool:
    """Return whether additions are recorded, by ``./partstream test tests/compatibility --renew-baselines``."""
    return bool(request.config.getoption("--renew-baselines"))
