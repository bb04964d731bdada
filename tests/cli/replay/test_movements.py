"""Reading movements, and planning what may be played at once."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.replay.errors import MovementsUnreadable
from cli.replay.movements import SHOWN_WRONG, FinalLevels, Movement, MovementsFile, Reason, Snapshot
from cli.replay.plan import MOST_ADJUSTMENTS, waves

HEADER = "ts,sku,delta,level_before,level_after,reason,snapshot\n"
MONDAY, TUESDAY = "2026-01-05T03:00:00Z", "2026-01-06T03:00:00Z"


def snapshots_of(folder: Path, text: str, *, packed: bool = False) -> list[Snapshot]:
    path = folder / "movements.csv"
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    file = MovementsFile(path)
    try:
        return list(file.snapshots())
    finally:
        file.close()


@pytest.mark.parametrize("packed", [False, True])
def test_rows_of_one_time_are_one_snapshot(tmp_path: Path, *, packed: bool) -> None:
    rows = (
        f"{MONDAY},A,,,5,listed,s1\n{MONDAY},B,,,,listed,s1\n"
        f"{TUESDAY},A,-2,5,3,net_out,s2\n{TUESDAY},B,,,,delisted,s2\n"
    )

    first, second = snapshots_of(tmp_path, HEADER + rows, packed=packed)

    assert (first.number, first.name, first.time.isoformat()) == (0, "s1", "2026-01-05T03:00:00+00:00")
    assert first.movements == (
        Movement(2, "A", Reason.LISTED, None, None, 5),
        Movement(3, "B", Reason.LISTED, None, None, None),
    )
    assert second.movements == (
        Movement(4, "A", Reason.NET_OUT, -2, 5, 3),
        Movement(5, "B", Reason.DELISTED, None, None, None),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ts,sku\n", "columns"),
        (HEADER + f"{MONDAY},A,x,,5,listed,s1\n", "line 2"),
        (HEADER + f"{MONDAY},A,,,-5,listed,s1\n", "line 2: '-5' is no whole number"),
        (HEADER + f"{MONDAY},A,,,5_0,listed,s1\n", "line 2: '5_0' is no whole number"),
        (HEADER + f"{MONDAY},a b,,,5,listed,s1\n", "line 2: 'a b' is no sku"),
        (HEADER + f"{MONDAY},A,,,5,listed\n", "line 2 has 6 cells"),
        (HEADER + f"{MONDAY},A,,,5,listed,s1,more\n", "line 2 has 8 cells"),
        (HEADER + f'{MONDAY},"A,,,5,listed,s1\n', "at line 2: unexpected end"),
        (HEADER + f"{MONDAY},A,,,5,lost,s1\n", "line 2"),
        (HEADER + f"{MONDAY},,,,5,listed,s1\n", "no sku"),
        (HEADER + f"{MONDAY},A,-1,,5,net_out,s1\n", "level before"),
        (HEADER + "Monday,A,,,5,listed,s1\n", "no time"),
        (HEADER + f"{TUESDAY},A,,,5,listed,s2\n{MONDAY},A,,,5,listed,s1\n", "line 3 is earlier"),
    ],
)
def test_a_file_that_means_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(MovementsUnreadable, match=said):
        snapshots_of(tmp_path, text)


def test_every_wrong_row_is_said_before_anything_is_played(tmp_path: Path) -> None:
    """A replay stopped at the first such row with everything before it played, and stopped there again next time."""
    wrong = [f"{MONDAY},A,x,,5,listed,s1\n", "junk,1\n", f"{TUESDAY},B,,,5,lost,s2\n"] + ["?\n"] * SHOWN_WRONG
    path = tmp_path / "movements.csv"
    path.write_text(HEADER + f"{MONDAY},A,,,5,listed,s1\n" + "".join(wrong))
    file = MovementsFile(path)

    with pytest.raises(MovementsUnreadable) as caught:
        file.check()

    file.close()
    said = str(caught.value)
    assert "nothing was played" in said
    assert [line for line in ("line 3", "line 4", "line 5") if line in said] == ["line 3", "line 4", "line 5"]
    assert said.endswith("and 3 more")


def test_a_checked_file_is_read_again_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "movements.csv.gz"
    path.write_bytes(gzip.compress((HEADER + f"{MONDAY},A,,,5,listed,s1\n\n").encode()))
    file = MovementsFile(path)

    file.check()
    (found,) = file.snapshots()

    file.close()
    assert [movement.sku for movement in found.movements] == ["A"]


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    """Beside times with a zone it ended the replay with a TypeError."""
    rows = f"2026-01-05T03:00:00,A,,,5,listed,s1\n{MONDAY},B,,,5,listed,s1\n"

    (found,) = snapshots_of(tmp_path, HEADER + rows)

    assert [movement.sku for movement in found.movements] == ["A", "B"]


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "movements.csv.gz"
    path.write_bytes(gzip.compress(HEADER.encode() + b"x" * 5000)[:-9])
    file = MovementsFile(path)

    with pytest.raises(MovementsUnreadable, match="damaged"):
        list(file.snapshots())

    file.close()


def test_the_last_level_and_whether_a_part_is_listed_are_what_is_compared(tmp_path: Path) -> None:
    rows = (
        f"{MONDAY},A,,,5,listed,s1\n{MONDAY},B,,,8,listed,s1\n{MONDAY},C,,,,listed,s1\n"
        f"{TUESDAY},A,-2,5,3,net_out,s2\n{TUESDAY},B,,8,,delisted,s2\n"
    )
    final = FinalLevels()

    for snapshot in snapshots_of(tmp_path, HEADER + rows):
        final.take(snapshot)

    assert final.levels == {"A": 3, "B": 8}
    assert final.delisted == {"B"}
    assert final.without_number == {"C"}


def adjustment(sku: str, delta: int = 1) -> Movement:
    return Movement(2, sku, Reason.NET_IN, delta, 1, 1 + delta)


def test_each_kind_of_row_is_played_in_its_own_way() -> None:
    listed = Movement(2, "A", Reason.LISTED, None, None, 5)
    blank = Movement(3, "B", Reason.LISTED, None, None, None)
    delisted = Movement(4, "C", Reason.DELISTED, None, 3, None)
    unmoved = adjustment("D", 0)
    moved = adjustment("E")

    (wave,) = waves([listed, blank, delisted, unmoved, moved])

    assert (wave.sets, wave.adjustments, wave.archives) == ([listed], [moved], [delisted])
    assert wave.skipped == [blank, unmoved]


@given(st.lists(st.sampled_from("ABC"), max_size=12))
def test_a_wave_has_each_part_once_and_keeps_the_order_of_its_rows(skus: list[str]) -> None:
    movements = [adjustment(sku, number + 1) for number, sku in enumerate(skus)]

    planned = [wave.adjustments for wave in waves(movements)]

    assert all(len({movement.sku for movement in wave}) == len(wave) for wave in planned)
    for sku in "ABC":
        played = [movement.delta for wave in planned for movement in wave if movement.sku == sku]
        assert played == [movement.delta for movement in movements if movement.sku == sku]


@given(st.integers(min_value=0, max_value=3 * MOST_ADJUSTMENTS + 1))
def test_batches_are_even_and_none_is_too_large(count: int) -> None:
    planned = waves(adjustment(str(number)) for number in range(count))

    sizes = [len(batch) for wave in planned for batch in wave.batches()]

    assert sum(sizes) == count
    assert all(size <= MOST_ADJUSTMENTS for size in sizes)
    assert not sizes or max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z"])
def test_a_time_beyond_the_calendar_is_called_that(tmp_path: Path, time: str) -> None:
    """The first row was called earlier than the line before, and there is none."""
    with pytest.raises(MovementsUnreadable, match=r"line 2: .* must be a timestamp of the years 1 to 9999 in UTC"):
        snapshots_of(tmp_path, HEADER + f"{time},A,,,5,listed,s1\n")


def test_the_first_second_of_the_calendar_is_a_time(tmp_path: Path) -> None:
    (only,) = snapshots_of(tmp_path, HEADER + "0001-01-01T00:00:00Z,A,,,5,listed,s1\n")

    assert only.time.year == 1
