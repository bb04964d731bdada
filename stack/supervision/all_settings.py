"""Every setting that some process reads, so that ``up`` can report invalid ones before it starts any of them."""

import difflib
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from chassis.settings import Setting, SettingsError, declared, load
from chassis.tls import GrpcClientSettings, GrpcServerSettings, HttpTlsSettings
from stack.supervision.leftovers import FOLDER_MARK

PREFIX = "PARTSTREAM_"
# Loaded by name: the stack imports none of these packages.
SETTINGS_OF = {
    "up": "stack.supervision.up_settings",
    "inventory": "inventory_svc.settings",
    "content": "content_svc.settings",
    "edge": "edge.settings",
    "tasks": "tasks.settings",
}
# `up` gives each process its own, whatever the environment says.
GIVEN_BY_UP = frozenset(
    {
        "PARTSTREAM_PORT",
        "PARTSTREAM_INVENTORY_TARGETS",
        "PARTSTREAM_CONTENT_TARGETS",
        "PARTSTREAM_EDGE_URLS",
        "PARTSTREAM_JWKS",
        "PARTSTREAM_SIGNING_KEY_FILE",
        "PARTSTREAM_CREDENTIAL_FILE",
        "PARTSTREAM_PROCESS_KEYS",
        "PARTSTREAM_REVOCATION_TARGETS",
    }
)
OF_TOOLS = frozenset(
    {
        "PARTSTREAM_DATA_DIR",
        "PARTSTREAM_PICCOLO_DATABASE",
        "PARTSTREAM_TEST_RUN_FOLDER",
        "PARTSTREAM_TEST_RUN_PID",
        FOLDER_MARK,
    }
)


def every_setting() -> Iterator[tuple[str, Setting, Any]]:
    """Yield the reader, the setting and its default, for each setting of each process."""
    for reader, module in SETTINGS_OF.items():
        for found in settings_classes(module):
            yield from ((reader, setting, default) for setting, default in declared(found))


def settings_classes(module: str) -> list[Any]:
    """Return the classes of settings in a module."""
    members = vars(importlib.import_module(module)).values()
    return [member for member in members if isinstance(member, type) and is_dataclass(member)]


def wrong(environment: Mapping[str, str]) -> list[str]:
    """Return a line per setting of the environment that a process would reject."""
    problems: dict[str, str] = {}
    for _, setting, _ in every_setting():
        raw = environment.get(setting.name, "").strip()
        if raw and setting.name not in GIVEN_BY_UP:
            try:
                setting.parse(raw)
            except ValueError as error:
                problems.setdefault(setting.name, f"{setting.name} is wrong: {error} ({setting.help})")
    return list(dict.fromkeys([*problems.values(), *_tls_problems(environment)]))


def _tls_problems(environment: Mapping[str, str]) -> list[str]:
    """Return a line for each file of TLS that cannot be used, and for each that the processes need of one another."""
    lines = []
    for found in (GrpcServerSettings, GrpcClientSettings, HttpTlsSettings):
        try:
            load(found, environment)
        except SettingsError as error:
            lines += error.problems
    for ours, theirs in (("CERT", "CA"), ("CA", "CERT"), ("CLIENT_CA", "CLIENT_CERT")):
        given, needed = f"PARTSTREAM_GRPC_TLS_{ours}", f"PARTSTREAM_GRPC_TLS_{theirs}"
        if environment.get(given) and not environment.get(needed):
            lines.append(f"{given} is set, but {needed} is not: the services and their callers need both")
    return lines


def unknown(environment: Mapping[str, str]) -> list[str]:
    """Return a line per unknown `PARTSTREAM_*` name: usually a typing error."""
    known = {setting.name for _, setting, _ in every_setting()} | OF_TOOLS
    lines = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            alike = difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            lines.append(f"{name} is set, but no process reads it" + "".join(f"; did you mean {one}?" for one in alike))
    return lines
