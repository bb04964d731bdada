"""Types of command line arguments: each parses a text, or rejects it with the reason that the user reads.

Standard library only, as the argument tree.
"""

import argparse
import re
from pathlib import Path

HIGHEST_PORT = 65_535


def port(text: str) -> int:
    """Return a TCP port."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= HIGHEST_PORT:
        _reject(f"{text!r} is not a port: a number from 1 to {HIGHEST_PORT}")
    return int(text)


def count(text: str) -> int:
    """Return a whole number above 0."""
    if not text.isascii() or not text.isdecimal() or not int(text):
        _reject(f"{text!r} is not a whole number above 0")
    return int(text)


def rate(text: str) -> float:
    """Return a number above 0."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or not float(text):
        _reject(f"{text!r} is not a number above 0")
    return float(text)


def speed(text: str) -> float | None:
    """Return a factor; None for ``max``."""
    return None if text == "max" else rate(text)


def duration(text: str) -> str:
    """Return a duration as Locust reads it."""
    if not re.fullmatch(r"([0-9]+h)?([0-9]+m)?([0-9]+s?)?", text) or not re.search("[1-9]", text):
        _reject(f"{text!r} is not a duration: 30s, 5m or 1h30m")
    return text


def currency(text: str) -> str:
    """Return an ISO 4217 code."""
    if not re.fullmatch("[A-Z]{3}", text):
        _reject(f"{text!r} is not a currency: three capital letters")
    return text


def input_path(text: str) -> Path:
    """Return the path of a file to read; ``-`` is standard input."""
    return Path("/dev/stdin") if text == "-" else Path(text)


def _reject(message: str) -> None:
    raise argparse.ArgumentTypeError(message)
