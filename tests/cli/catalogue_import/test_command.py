"""The command as a person calls it, without a stack."""

import gzip
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cli import tree
from cli.catalogue_import import command
from cli.catalogue_import.errors import FileUnreadable
from stack.errors import OutputRefused, SettingsRefused


def checked(path: Path, *arguments: str) -> int:
    data = str(path.parent / "data")
    return command.run(tree.parse(["import", str(path), "--check", "--data-dir", data, *arguments]))


def test_names_from_the_file_are_shown_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A key that looks like markup of the terminal library raised an error in the middle of the summary."""
    path = tmp_path / "parts [red].jsonl"
    path.write_text('{"sku": "A1", "[/x]": 1, ":smile:": 2}\n')

    code = checked(path)

    out, err = capsys.readouterr()
    assert code == 0
    assert "[/x]" in out
    assert ":smile:" in out
    assert "parts [red].jsonl" in err


def test_what_no_terminal_can_show_is_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "parts.jsonl"
    path.write_text('{"sku": "A1", "\\ud800": 1}\n')
    command = [sys.executable, "-m", "cli", "import", str(path), "--check", "--data-dir", str(tmp_path / "d")]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "\\ud800" in done.stdout


@pytest.mark.parametrize("option", ["--rejects", "--notes", "--json"])
def test_the_catalogue_itself_is_not_written_over(tmp_path: Path, option: str) -> None:
    """`--rejects` and `--notes` removed the file they name before the catalogue was opened."""
    path = tmp_path / "parts.jsonl"
    path.write_text('{"sku": "A1"}\n')

    with pytest.raises(OutputRefused, match="the file that is read"):
        checked(path, option, str(path))

    assert path.read_text() == '{"sku": "A1"}\n'


@pytest.mark.parametrize("option", ["--rejects", "--notes", "--json"])
def test_a_file_that_cannot_be_written_is_refused_before_anything_is_done(tmp_path: Path, option: str) -> None:
    path = tmp_path / "parts.jsonl"
    path.write_text('{"sku": "A1"}\n')

    with pytest.raises(OutputRefused, match="directory"):
        checked(path, option, str(tmp_path))


def test_the_folder_of_the_summary_is_made(tmp_path: Path) -> None:
    path, summary = tmp_path / "parts.jsonl", tmp_path / "reports" / "summary.json"
    path.write_text('{"sku": "A1"}\n')

    checked(path, "--json", str(summary))

    assert json.loads(summary.read_text())["counts"] == {"rows": 1, "rows_acceptable": 1}


def test_a_dash_is_what_is_piped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    summary = tmp_path / "summary.json"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"sku": "A1"}\n{"sku": "A2"}\n')))

    arguments = ["import", "-", "--check", "--data-dir", str(tmp_path / "data"), "--json", str(summary)]
    code = command.run(tree.parse(arguments))

    assert code == 0
    assert json.loads(summary.read_text())["counts"]["rows"] == 2


def test_settings_that_are_wrong_are_said_and_not_thrown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ended with a traceback."""
    path = tmp_path / "parts.jsonl"
    path.write_text('{"sku": "A1"}\n')
    for name in ("INVENTORY", "CONTENT"):
        monkeypatch.setenv(f"PARTSTREAM_{name}_TARGETS", "127.0.0.1:1")
    monkeypatch.setenv("PARTSTREAM_CREDENTIAL_FILE", str(path))

    with pytest.raises(SettingsRefused, match="CREDENTIAL_FILE is wrong"):
        command.run(tree.parse(["import", str(path)]))
    monkeypatch.setenv("PARTSTREAM_CONTENT_TARGETS", "nowhere")
    with pytest.raises(SettingsRefused, match="CONTENT_TARGETS is wrong"):
        command.run(tree.parse(["import", str(path)]))


def test_an_import_that_ends_early_says_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "parts.jsonl.gz"
    rows = b"".join(b'{"sku": "A%d", "title": "%032d"}\n' % (number, number * 7919) for number in range(3_000))
    path.write_bytes(gzip.compress(rows)[:-2_000])

    with pytest.raises(FileUnreadable, match="cut off"):
        checked(path)

    assert "Done before it ended: rows" in capsys.readouterr().err
