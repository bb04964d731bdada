"""Files hold one noun or one verb, functions one thought."""

import ast
from pathlib import Path

import pytest

from tests.architecture.source import python_files, read

LONGEST_FILE = 400
LONGEST_FUNCTION = 60
# Names that say nothing about what is inside.
EMPTY_NAMES = {
    "utils",
    "util",
    "helpers",
    "helper",
    "common",
    "misc",
    "shared_code",
    "stuff",
    "manager",
    "base_classes",
}
# The noun is in the folder: edge/cache/manager.py holds the CacheManager of the product's plan.
NAMED_BY_FOLDER = {"edge/cache/manager.py"}


@pytest.mark.parametrize("path", python_files(), ids=str)
def test_file_and_its_functions_are_short(path: Path) -> None:
    text = read(path)

    assert text.count("\n") <= LONGEST_FILE
    too_long = [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert not too_long


def test_names_say_what_is_inside() -> None:
    empty = {str(path) for path in python_files() if EMPTY_NAMES & {path.stem, *path.parts[:-1]}}

    assert empty <= NAMED_BY_FOLDER


def test_every_file_says_what_it_is_for() -> None:
    silent = [str(path) for path in python_files() if not ast.get_docstring(ast.parse(read(path)))]

    assert not silent
