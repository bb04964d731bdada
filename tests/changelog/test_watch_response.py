"""Messages end with transactions, are bounded, and have every change once."""

from hypothesis import given
from hypothesis import strategies as st

from changelog.watch_response import compose, cut_message
from changelog.window import Window, WindowEntry, frame
from partstream.inventory.v1.stock_change_pb2 import StockChange
from partstream.inventory.v1.stock_service_pb2 import WatchStockResponse

MAX_BYTES = 300


def entries_of(transactions: list[list[tuple[bool, int]]]) -> list[WindowEntry]:
    """Return entries of transactions; each change is (matches the filter, length of its id)."""
    entries: list[WindowEntry] = []
    for transaction in transactions:
        for wanted, length in transaction:
            payload = StockChange(revision=len(entries) + 1, entity_id="x" * length).SerializeToString()
            keys = frozenset({"mine" if wanted else "theirs"})
            entries.append(WindowEntry(len(entries) + 1, keys, {"staff": frame(payload)}))
        entries[-1].ends_transaction = True
    return entries


changes = st.tuples(st.booleans(), st.integers(min_value=0, max_value=120))
logs = st.lists(st.lists(changes, min_size=1, max_size=6), min_size=1, max_size=12)


@given(logs, st.booleans())
def test_a_log_cut_into_messages_is_ordered_unique_complete_bounded_and_atomic(
    transactions: list[list[tuple[bool, int]]], filtered: bool
) -> None:
    entries = entries_of(transactions)
    ends = {entry.revision for entry in entries if entry.ends_transaction}
    wanted = {"mine"} if filtered else set()

    seen: list[int] = []
    at = 0
    while at < len(entries):
        cut = cut_message(entries[at:], at, audience="staff", part_ids=wanted, max_bytes=MAX_BYTES)
        assert cut.reached > at
        message = WatchStockResponse.FromString(compose("c", 7, cut))
        assert cut.count == len(message.changes)
        assert len(cut.changes) <= MAX_BYTES or cut.count == 1
        assert cut.fragment == (cut.reached not in ends)
        seen += [change.revision for change in message.changes]
        at = cut.reached

    assert seen == [entry.revision for entry in entries if not wanted or "mine" in entry.keys]


@given(st.integers(min_value=0, max_value=40), st.integers(min_value=1, max_value=30), st.data())
def test_a_window_returns_exactly_the_entries_after_a_revision(start: int, size: int, data: st.DataObject) -> None:
    window = Window(start, max_entries=10)
    for number in range(size):
        window.append(WindowEntry(start + number + 1, frozenset(), {"staff": b""}))

    revision = data.draw(st.integers(min_value=window.start, max_value=window.end))

    assert window.covers(revision)
    assert [entry.revision for entry in window.after(revision)] == list(range(revision + 1, start + size + 1))
    assert window.end - window.start <= 10
