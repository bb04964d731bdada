"""The README's commands, run exactly as written against a fresh stack; what they print is compared with the README."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.running_stack import ROOT, RunningStack

README = ROOT / "README.md"
WRITTEN_PORT = 8000
COMMAND_SECONDS = 120
# A block of commands, and what is shown below it.
BLOCKS = re.compile(r"^```sh\n(.*?)^```\n(?:```output\n(.*?)^```\n)?", re.DOTALL | re.MULTILINE)
MARK = "partstream-readme-end-of-block"


@pytest.fixture
def fresh_stack() -> Iterator[RunningStack]:
    """A stack with the sample catalogue, on a port of its own."""
    folder = Path(tempfile.mkdtemp(prefix="partstream-readme-"))
    running = RunningStack(folder, edges=1, sample=True)
    running.start()
    yield running
    running.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_the_commands_print_what_the_readme_shows(fresh_stack: RunningStack, tmp_path: Path) -> None:
    blocks = BLOCKS.findall(README.read_text())
    script = "".join(f"{commands}\necho\necho {MARK}\n" for commands, _ in blocks)

    environment = _environment(fresh_stack, tmp_path)
    done = _bash(script, environment)

    printed = done.stdout.split(MARK)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(blocks) >= 6
    for (commands, shown), found in zip(blocks, printed, strict=False):
        pattern, text = _pattern(shown), found.strip()
        if _is_read(commands) and not pattern.fullmatch(text):
            # A change takes some milliseconds to the edge, on a busy machine more than bash to the next command.
            text = _shown_in_time(commands, pattern, environment)
        assert pattern.fullmatch(text), f"{commands}printed\n{text}\nREADME shows\n{shown}"


def _is_read(commands: str) -> bool:
    return commands.startswith("curl -s localhost") and "$" not in commands and commands.count("\n") <= 1


def _shown_in_time(commands: str, pattern: re.Pattern[str], environment: dict[str, str]) -> str:
    deadline = time.monotonic() + 10
    while not pattern.fullmatch(text := _bash(commands, environment).stdout.strip()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return text


def _bash(script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def test_every_line_of_the_readme_names_a_command_that_exists() -> None:
    named = set(re.findall(r"\./partstream ([a-z]+)", README.read_text()))
    listed = subprocess.run(
        [sys.executable, "-m", "cli", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert named
    assert all(re.search(rf"^ +{name}\b", listed, re.MULTILINE) for name in named)


def _environment(stack: RunningStack, home: Path) -> dict[str, str]:
    """Route the port that the README names to the stack's own, and find the stack by its data folder."""
    (home / ".curlrc").write_text(f"connect-to = localhost:{WRITTEN_PORT}:127.0.0.1:{stack.port}\n")
    own = {name: value for name, value in os.environ.items() if not name.startswith("PARTSTREAM_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return own | {"HOME": str(home), "PATH": path, "PARTSTREAM_DATA_DIR": str(stack.folder)}


def _pattern(shown: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in shown.strip().split("…")), re.DOTALL)
