"""The rules for passwords, and the normal form in which they are hashed.

The estimate is that of zxcvbn (Wheeler, USENIX Security 2016): how many guesses an attacker needs who knows common
passwords, names, dates, keyboard patterns and the names of the account.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from zxcvbn import zxcvbn

MIN_LENGTH: Final = 12
MAX_LENGTH: Final = 200
LEAST_SCORE: Final = 3  # of 0 to 4: at least 10^8 guesses
LEAST_SCORE_WITHOUT_NAME: Final = 2  # of what is left of a password that contains the name: at least 10^6 guesses
ESTIMATED_LENGTH: Final = 72  # zxcvbn takes time quadratic in the length

_PRODUCT: Final = "partstream"
_SHORTEST_NAME: Final = 3  # shorter ones occur in passwords by chance
_BETWEEN_WORDS: Final = re.compile(r"[^A-Za-z0-9]+")


def normalise(password: str) -> str:
    """Return the NFKC form: keyboards and systems compose one and the same character differently."""
    return unicodedata.normalize("NFKC", password)


def weakness(password: str, username: str) -> str | None:
    """Return why a password is rejected for an account, as a sentence; ``None`` when it is accepted."""
    text = normalise(password)
    if not any(character.isprintable() and not character.isspace() for character in text):
        return "A password must not be blank."
    if not MIN_LENGTH <= len(text) <= MAX_LENGTH:
        return f"A password has {MIN_LENGTH} to {MAX_LENGTH} characters."
    names = _names(username)
    if _score(text, names) < LEAST_SCORE:
        return "This password is too easy to guess: use several unrelated words."
    rest = _without(text, names)
    if rest != text and _score(rest, names) < LEAST_SCORE_WITHOUT_NAME:
        return "This password is derived from the user name: use several unrelated words."
    return None


def _names(username: str) -> list[str]:
    words = {username, *_BETWEEN_WORDS.split(username), _PRODUCT}
    return sorted((word.lower() for word in words if len(word) >= _SHORTEST_NAME), key=len, reverse=True)


def _without(text: str, names: list[str]) -> str:
    """Return the text without any of the names, the longest first."""
    if not names:
        return text
    return re.sub("|".join(map(re.escape, names)), "", text, flags=re.IGNORECASE)


def _score(text: str, names: list[str]) -> int:
    return int(zxcvbn(text[:ESTIMATED_LENGTH], user_inputs=list(names))["score"]) if text else 0
