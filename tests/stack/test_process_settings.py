"""Every process says all that is wrong with its settings at once, and what it cannot reach in one line."""

import os
import subprocess
import sys
from dataclasses import MISSING

import pytest

from chassis.settings import declared
from stack.servers.ports import LOOPBACK, free_port
from stack.supervision import all_settings
from stack.supervision.all_settings import settings_classes

PROGRAMS = [
    ("inventory_svc", "serve", "Settings"),
    ("content_svc", "serve", "Settings"),
    ("edge", "serve", "EdgeSettings"),
    ("tasks", "worker", "WorkerSettings"),
    ("tasks", "scheduler", "SchedulerSettings"),
]
PACKAGES = ("inventory_svc", "content_svc", "edge", "tasks")
DATABASES = [
    *("PARTSTREAM_INVENTORY_DATABASE_URL", "PARTSTREAM_CONTENT_DATABASE_URL"),
    *("PARTSTREAM_EDGE_DATABASE_URL", "PARTSTREAM_AUDIT_DATABASE_URL"),
]


def run(room: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a process that ends by itself, with these settings and no others."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(all_settings.PREFIX)}
    command = [sys.executable, "-m", room, *arguments]
    return subprocess.run(command, env=others | settings, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(("room", "verb", "class_name"), PROGRAMS)
def test_all_that_is_missing_or_wrong_is_said_at_once(room: str, verb: str, class_name: str) -> None:
    done = run(room, verb, PARTSTREAM_LOG_LEVEL="LOUD", PARTSTREAM_OTEL_EXPORTER="pigeon")

    (settings,) = (found for found in settings_classes(f"{room}.settings") if found.__name__ == class_name)
    required = {setting.name for setting, default in declared(settings) if default is MISSING}
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert required
    said = {line.split()[0] for line in done.stderr.splitlines() if line.startswith(all_settings.PREFIX)}
    assert required | {"PARTSTREAM_LOG_LEVEL", "PARTSTREAM_OTEL_EXPORTER"} == said


@pytest.mark.parametrize("room", PACKAGES)
def test_a_migration_without_its_database_is_one_line(room: str) -> None:
    """It was a trace of eighty lines, whose last one said it."""
    away = f"postgresql://role:not-to-be-shown@{LOOPBACK}:{free_port()}/none"

    done = run(room, "migrate", **dict.fromkeys(DATABASES, away))

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("the database cannot be reached")
    assert "not-to-be-shown" not in line


@pytest.mark.parametrize("room", PACKAGES)
def test_help_is_no_mistake(room: str) -> None:
    assert run(room, "--help").returncode == 0
