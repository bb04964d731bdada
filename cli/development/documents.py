"""The two documents that are made from the code, so that they cannot lag behind it: the map and the settings."""

import ast
import subprocess
from collections import defaultdict
from dataclasses import MISSING
from datetime import timedelta
from pathlib import Path
from typing import Any

from cli.tree import ROOT
from stack.supervision.all_settings import every_setting

MAP, SETTINGS = Path("docs/map.md"), Path("docs/settings.md")
MIGRATIONS = "migrations"
ROOMS = ("chassis", "changelog", "inventory_svc", "content_svc", "edge", "tasks", "stack", "cli", "loadtests")
MAP_HEAD = """\
# Map

Every file and what it is for, taken from its own first line by `./partstream gen`. `docs/decisions/` says why things
are as they are.

"""
MAP_TESTS = """\
## `tests/`

The tree mirrors the code's. `tests/harness/` gives every test real servers and a migrated database of its own,
`tests/flow/` runs the whole stack, `tests/architecture/` keeps the rules of this map.

"""
SETTINGS_HEAD = """\
# Settings

Everything is set by environment variables; this table is taken from the code by `./partstream gen`. A process that
finds settings missing or wrong names all of them at once and ends with code 2. `up` gives every process what it needs,
an embedded PostgreSQL and Redis among it; whatever else is set when `up` starts reaches the processes as it is, and is
checked before any of them starts. A name that begins with `PARTSTREAM_` and that nothing reads is said.

| setting | read by | default | meaning |
|---|---|---|---|
"""
OF_TOOLS = """
Read by tools, not by processes:

| setting | meaning |
|---|---|
| `PARTSTREAM_DATA_DIR` | data folder of every verb without `--data-dir`; default `.partstream/` in the repository |
| `PGSERVER_POSTGRES_VERSION` | major version of the embedded PostgreSQL, 16 or 18; default 18 |
| `NO_COLOR`, `FORCE_COLOR` | never, always colour the merged log; default: on a terminal |
"""


def documents() -> dict[Path, str]:
    """Return every made document by its path in the repository."""
    return {MAP: _map(), SETTINGS: _settings()}


def write() -> None:
    """Write the documents."""
    for path, text in documents().items():
        (ROOT / path).parent.mkdir(exist_ok=True)
        (ROOT / path).write_text(text)


def stale() -> list[str]:
    """Return the documents that are not what the code says."""
    return [
        str(path)
        for path, text in documents().items()
        if not (ROOT / path).exists() or (ROOT / path).read_text() != text
    ]


def _map() -> str:
    return MAP_HEAD + "\n".join(_room(room) for room in (*ROOMS, "protos")) + "\n" + MAP_TESTS


def _room(room: str) -> str:
    head = f"## `{room}/`\n\n"
    if room == "protos":
        return head + "".join(f"- `{path}`: {_first_comment(path)}\n" for path in tracked(room, ".proto"))
    folders: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in tracked(room, ".py"):
        if path.name != "__init__.py" and MIGRATIONS not in path.parts:
            folders[path.parent].append(path)
    return "\n".join(_folder(folder, folders[folder]) for folder in sorted({Path(room), *folders}))


def _folder(folder: Path, files: list[Path]) -> str:
    """A folder below a room is a smaller heading; the files beside it come first."""
    level = "##" if len(folder.parts) == 1 else "###"
    lines = "".join(f"- `{path.name}`: {_first_line(path)}\n" for path in files)
    return f"{level} `{folder}/`\n\n{_first_line(folder / '__init__.py')}\n" + (f"\n{lines}" if lines else "")


def tracked(folder: str, suffix: str) -> list[Path]:
    """Return the files of a folder that belong to the repository, sorted; third parties' contracts left out."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", folder]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    paths = [Path(name) for name in names if name.endswith(suffix) and not name.startswith("protos/buf/")]
    return sorted(path for path in paths if (ROOT / path).exists())


def _first_line(path: Path) -> str:
    text = ast.get_docstring(ast.parse((ROOT / path).read_text())) or ""
    return " ".join(text.partition("\n\n")[0].split()) or "(says nothing)"


def _first_comment(path: Path) -> str:
    """The first service or message says what a contract is about."""
    lines = (ROOT / path).read_text().splitlines()
    return next((line.removeprefix("// ") for line in lines if line.startswith("// ")), "(says nothing)")


def _settings() -> str:
    readers: defaultdict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
    for reader, setting, default in every_setting():
        readers[setting.name][reader] = (_shown(default), setting.help)
    return SETTINGS_HEAD + "".join(_row(name, by) for name, by in sorted(readers.items())) + OF_TOOLS


def _row(name: str, by: dict[str, tuple[str, str]]) -> str:
    # `up` passes most settings on; what a process itself says of one is the better text.
    default, meaning = next((text for reader, text in by.items() if reader != "up"), by.get("up", ("", "")))
    return f"| `{name}` | {', '.join(by)} | {default} | {meaning} |\n"


def _shown(default: Any) -> str:
    match default:
        case _ if default is MISSING:
            return "required"
        case _ if default in (None, (), "") or not str(default):
            return ""
        case timedelta():
            return f"`{default.days}`"
        case _:
            return f"`{default}`"
