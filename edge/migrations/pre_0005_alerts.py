"""Alerts: conditions that operators have to know of, reported by every process that sees one."""

from chassis.migrate import scripts
from tasks.alerts.schema import ALERTS

ID = "2026-12-04T10:00:00:000005"
VERSION = "1.38.0"
DESCRIPTION = "Alerts"

forwards = scripts(ID, "edge", DESCRIPTION, ALERTS)
