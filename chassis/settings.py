"""Settings from the environment: declared as data, read once, all problems reported together."""

from __future__ import annotations

import os
from dataclasses import MISSING, dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SettingsT = TypeVar("SettingsT")


class SettingsError(Exception):
    """One or more settings are missing or invalid; ``problems`` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        """Hold every problem, so that all can be fixed together."""
        super().__init__("\n".join(problems))
        self.problems = problems


@runtime_checkable
class Checked(Protocol):
    """Settings with rules over several of them."""

    def problems(self) -> list[str]:
        """Return a line for each rule that the settings violate together."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One environment variable: its parser and its purpose.

    Where it is unset, the variable ``fallback`` is read, if it names one.
    """

    name: str
    parse: Callable[[str], Any]
    help: str
    fallback: str = ""


def setting(
    name: str,
    parse: Callable[[str], Any],
    *,
    help: str,  # noqa: A002 - the field's standard word
    default: Any = MISSING,
    fallback: str = "",
) -> Any:
    """Declare a dataclass field that is read from the environment variable ``name``, else from ``fallback``."""
    return field(default=default, metadata={"setting": Setting(name, parse, help, fallback)})


def declared(settings: type[Any]) -> list[tuple[Setting, Any]]:
    """Return the settings that a class declares, each with its default (``MISSING`` when it is required)."""
    return [(item.metadata["setting"], item.default) for item in fields(settings) if "setting" in item.metadata]


def load(settings: type[SettingsT], environment: Mapping[str, str] | None = None) -> SettingsT:
    """Read every setting of a dataclass; raise ``SettingsError`` naming all that are missing or invalid."""
    source = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    problems: list[str] = []
    for item in fields(settings):  # type: ignore[arg-type]
        spec: Setting | None = item.metadata.get("setting")
        if spec is None:
            continue
        name = spec.name
        raw = source.get(name, "").strip()
        if not raw and spec.fallback:
            name = spec.fallback
            raw = source.get(name, "").strip()
        if not raw:
            if item.default is MISSING:
                problems.append(f"{spec.name} is not set: {spec.help}")
            continue
        try:
            values[item.name] = spec.parse(raw)
        except ValueError as error:
            problems.append(f"{name} is wrong: {error} ({spec.help})")
    if problems:
        raise SettingsError(problems)
    loaded = settings(**values)
    if isinstance(loaded, Checked) and (problems := loaded.problems()):
        raise SettingsError(problems)
    return loaded


def text(raw: str) -> str:
    """Parse any text."""
    return raw


def port(raw: str) -> int:
    """Parse a TCP port, 1 to 65535."""
    value = _integer(raw)
    if not 1 <= value <= 65535:
        message = f"{value} is not a port (1 to 65535)"
        raise ValueError(message)
    return value


def positive_int(raw: str) -> int:
    """Parse a whole number of at least 1."""
    value = _integer(raw)
    if value < 1:
        message = f"{value} is not at least 1"
        raise ValueError(message)
    return value


def _integer(raw: str) -> int:
    try:
        return int(raw)
    except ValueError:
        message = f"{raw!r} is not a whole number"
        raise ValueError(message) from None


def seconds(raw: str) -> float:
    """Parse a positive number of seconds."""
    try:
        value = float(raw)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        message = f"{raw!r} is not a positive number of seconds"
        raise ValueError(message)
    return value


def days(raw: str) -> timedelta:
    """Parse a positive number of days."""
    try:
        value = float(raw)
    except ValueError:
        value = 0.0
    if not 0 < value < 100_000:
        message = f"{raw!r} is not a positive number of days"
        raise ValueError(message)
    return timedelta(days=value)


def dsn(raw: str) -> str:
    """Parse a ``postgresql://`` URL. The error never contains the password."""
    parts = urlsplit(raw)
    if parts.scheme not in {"postgresql", "postgres"} or len(parts.path) <= 1:
        message = "not of the form postgresql://role:password@host:port/database"
        raise ValueError(message)
    return raw


def redis_url(raw: str) -> str | None:
    """Parse a ``redis://`` URL, or ``none`` to run without Redis."""
    if raw == "none":
        return None
    if urlsplit(raw).scheme not in {"redis", "rediss", "unix"}:
        message = "not of the form redis://host:port/database, nor `none`"
        raise ValueError(message)
    return raw


def targets(raw: str) -> tuple[str, ...]:
    """Parse ``host:port`` addresses, comma-separated."""
    found = tuple(item.strip() for item in raw.split(",") if item.strip())
    for item in found:
        host, _, number = item.rpartition(":")
        if not host or not number.isdigit():
            message = f"{item!r} is not of the form host:port"
            raise ValueError(message)
    if not found:
        message = "no address given"
        raise ValueError(message)
    return found


def targets_or_none(raw: str) -> tuple[str, ...] | None:
    """Parse ``host:port`` addresses, comma-separated, or ``none``."""
    return None if raw == "none" else targets(raw)


def urls(raw: str) -> tuple[str, ...]:
    """Parse ``http(s)://`` base URLs, comma-separated; a trailing slash is removed."""
    found = tuple(item.strip().rstrip("/") for item in raw.split(",") if item.strip())
    for item in found:
        if urlsplit(item).scheme not in {"http", "https"}:
            message = f"{item!r} is not an http address"
            raise ValueError(message)
    return found


def file(raw: str) -> Path:
    """Parse the path of an existing file."""
    path = Path(raw)
    if not path.is_file():
        message = f"no file at {raw}"
        raise ValueError(message)
    return path


def choice(*allowed: str) -> Callable[[str], str]:
    """Return a parser of one of these words."""

    def parse(raw: str) -> str:
        if raw not in allowed:
            message = f"{raw!r} is none of {', '.join(allowed)}"
            raise ValueError(message)
        return raw

    return parse
