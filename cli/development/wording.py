"""Words that texts and names must not use, each with the standard term: docs, contracts, messages, comments, names."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from cli.development.documents import PACKAGES, tracked
from cli.tree import ROOT

# Private idioms of early versions, which readers had to decode. Pattern (whole words, any case): standard term.
REPLACED = {
    r"answer(?:s|ed|ing)?": "return, respond, response, result",
    r"whoever|whomever": "a caller, any client",
    r"somebody|anybody|nobody(?![`\"])": "a caller, no client, another process",
    r"whence": "source",
    r"anew": "again, from the start",
    r"for ever": "permanently",
    r"(?:is|are|was|were|be|been|goes|went|stays) away": "unavailable",
    r"(?:is|are|was|were) told": "is notified, receives",
    r"put(?:s|ting)? right": "correct, normalise",
    r"come again|ask again|asks again": "retry",
    r"patient(?:ly)?": "with retries",
    r"break(?:s|ing)? (?:a|the|its) rules?": "violate, invalid",
    r"give(?:s|n)? back": "release",
    r"in the name of": "on behalf of",
    r"out of use": "archived",
    r"knows? of": "has, is registered",
    r"spoil(?:s|ed)?": "affect",
    r"doorkeeper": "connection limiter, leader election",
    r"handover": "hand-off",
    r"made[- ]up": "generated",
}
REJECTED = re.compile(
    r"(?<![A-Za-z])(?:" + "|".join(f"({pattern})" for pattern in REPLACED) + r")(?![A-Za-z])", re.IGNORECASE
)
# A label of a metric, and parameters of released SQL functions.
ALLOWED = frozenset({"answered_by", "answers", "answer_ids", "answer_principals", "n_answer"})
# Records of the past, and contracts of others.
NOT_CHECKED = ("CHANGELOG.md", "docs/map.md", "protos/buf/")
TEXT_TOKENS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING), tokenize.NAME}


def problems() -> list[str]:
    """Return a line for each text or name of the repository that uses a rejected word."""
    return [
        f"{path}:{line}: {word!r} (use: {term})"
        for path in _files()
        for line, text in _texts(path)
        for word, term in rejected_words(text)
    ]


def rejected_words(text: str) -> Iterator[tuple[str, str]]:
    """Yield each rejected word of a text or name with its standard term."""
    if text.strip("\"'") in ALLOWED:
        return
    terms = list(REPLACED.values())
    for found in REJECTED.finditer(" ".join(text.replace("_", " ").split())):
        yield found[0], terms[(found.lastindex or 1) - 1]


def _files() -> list[Path]:
    documents = [Path("README.md"), Path("CONTRIBUTING.md"), Path("SECURITY.md"), *tracked("docs", ".md")]
    code = [path for package in PACKAGES for path in tracked(package, ".py")]
    files = [*documents, *tracked("protos", ".proto"), *code]
    return [path for path in files if not str(path).startswith(NOT_CHECKED) and path.name != "wording.py"]


def _texts(path: Path) -> Iterator[tuple[int, str]]:
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), start=1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in TEXT_TOKENS:
            yield from enumerate(token.string.splitlines(), start=token.start[0])
