"""What is written down of rows that the service refused, over a replay that is cut off and taken up again."""

import json
from pathlib import Path

from cli.replay.movements import Movement, Reason
from cli.replay.report import ReplayReport


def row(line: int) -> Movement:
    return Movement(line, f"P-{line}", Reason.NET_IN, 1, 1, 2)


def lines(path: Path) -> list[int]:
    return [json.loads(text)["line"] for text in path.read_text().splitlines()]


def test_a_replay_that_is_taken_up_keeps_what_was_refused_before(tmp_path: Path) -> None:
    """The second start wrote the file anew: the summary counted rows that no file named."""
    path = tmp_path / "refusals.jsonl"
    first = ReplayReport(path)
    first.begin(0)
    first.refuse(row(2), "VERSION_CONFLICT", "")
    saved = first.refusals_size
    first.refuse(row(3), "VERSION_CONFLICT", "")  # after the progress was saved: this row is played again
    first.close()

    second = ReplayReport(path)
    second.begin(saved)
    second.refuse(row(3), "VERSION_CONFLICT", "")
    second.close()

    assert lines(path) == [2, 3]


def test_what_another_run_left_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    path = tmp_path / "refusals.jsonl"
    path.write_text('{"line": 9}\n')
    report = ReplayReport(path)

    report.begin(0)
    report.close()

    assert not path.exists()
