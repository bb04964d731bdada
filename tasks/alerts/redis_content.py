"""What is reported when content of Redis was moved aside."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from chassis.redis_quarantine import OnQuarantine
    from tasks.alerts.reporter import Alerts

log = logging.getLogger(__name__)

ALERT: Final = "redis_key_quarantined"
ALERT_SECONDS: Final = 3_600.0  # an hour without another one


def quarantine_report(alerts: Alerts | None, subject: str) -> OnQuarantine:
    """Return what logs and reports content that was moved aside; ``subject`` is ``cache`` or ``jobs``."""

    def report(key: str, detail: str) -> None:
        log.warning("Redis content moved aside key=%s detail=%s", key, detail)
        if alerts is not None:
            alerts.fire(ALERT, subject, f"{key}: {detail}", seconds=ALERT_SECONDS)

    return report
