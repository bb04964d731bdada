"""A replay says what the service refused and which levels are not what the file says."""

import json
from pathlib import Path

from tests.flow.generated_movements import write_movements
from tests.flow.running_stack import RunningStack

HEADER = "ts,sku,delta,level_before,level_after,reason,snapshot\n"
MONDAY, TUESDAY, WEDNESDAY = "2026-01-05T03:00:00Z", "2026-01-06T03:00:00Z", "2026-01-07T03:00:00Z"


async def test_a_refused_row_and_the_level_it_leaves_are_reported(stack: RunningStack, tmp_path: Path) -> None:
    path, summary, refusals = tmp_path / "m.csv", tmp_path / "summary.json", tmp_path / "refusals.jsonl"
    rows = (
        f"{MONDAY},P-a,,,5,listed,s1\n{MONDAY},P-b,,,7,listed,s1\n{MONDAY},P-c,,,,listed,s1\n"
        f"{TUESDAY},P-a,-2,6,4,net_out,s2\n{TUESDAY},P-b,-7,7,0,net_out,s2\n"
        f"{WEDNESDAY},P-b,,0,,delisted,s3\n"
    )
    path.write_text(HEADER + rows)

    code, output = await stack.verb("replay", str(path), "--json", str(summary), "--refusals", str(refusals))

    assert code == 1, output
    found = json.loads(summary.read_text())
    assert (found["sets"], found["adjustments"], found["archives"], found["skipped"], found["refused"]) == (
        2,
        1,
        1,
        1,
        1,
    )
    assert found["mismatches"] == [
        {"sku": "P-a", "expected": 4, "expected_archived": False, "found": 5, "found_archived": False}
    ]
    refused = [json.loads(line) for line in refusals.read_text().splitlines()]
    assert [(row["line"], row["sku"], row["reason"]) for row in refused] == [(5, "P-a", "VERSION_CONFLICT")]


async def test_the_same_file_can_be_played_again(stack: RunningStack, tmp_path: Path) -> None:
    path, summary = tmp_path / "m.csv.gz", tmp_path / "summary.json"
    write_movements(path, "P2-", parts=20, snapshots=30, seed=7)

    codes = [(await stack.verb("replay", str(path), "--json", str(summary)))[0] for _ in range(2)]

    assert codes == [0, 0]
    assert json.loads(summary.read_text())["levels_equal"] > 0


async def test_a_file_that_is_no_movements_file_is_said_to_be_none(stack: RunningStack, tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("a,b\n1,2\n")

    code, output = await stack.verb("replay", str(path))

    assert code == 1
    assert "a movements file has the columns" in output
    assert "Traceback" not in output
