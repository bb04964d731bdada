"""A run that was cut off is taken up as the same run."""

from pathlib import Path

from partstream.content.v1 import part_pb2, part_service_pb2
from stack.service_calls.run_journal import RunJournal

DIGEST = "ab" * 32


def test_an_unfinished_run_is_taken_up_with_its_ids_and_progress(tmp_path: Path) -> None:
    first = RunJournal.open(tmp_path, "replay", DIGEST)
    first.progress = {"snapshots_done": 7}
    first.save()

    second = RunJournal.open(tmp_path, "replay", DIGEST)

    assert (first.resumed, second.resumed) == (False, True)
    assert second.progress == {"snapshots_done": 7}
    assert second.request_id("adjust", "3") == first.request_id("adjust", "3")


def test_a_finished_run_is_followed_by_a_new_one(tmp_path: Path) -> None:
    first = RunJournal.open(tmp_path, "replay", DIGEST)
    first.finish()

    second = RunJournal.open(tmp_path, "replay", DIGEST)

    assert not second.resumed
    assert second.request_id("adjust", "3") != first.request_id("adjust", "3")


def test_another_file_another_verb_and_a_restart_are_other_runs(tmp_path: Path) -> None:
    runs = [
        RunJournal.open(tmp_path, "replay", DIGEST),
        RunJournal.open(tmp_path, "replay", "cd" * 32),
        RunJournal.open(tmp_path, "import", DIGEST),
        RunJournal.open(tmp_path, "replay", DIGEST, restart=True),
    ]

    assert len({run.run_id for run in runs}) == len(runs)


def test_a_damaged_journal_is_a_new_run(tmp_path: Path) -> None:
    journal = RunJournal.open(tmp_path, "replay", DIGEST)
    journal.path.write_text('{"run": "x')

    assert not RunJournal.open(tmp_path, "replay", DIGEST).resumed


def test_the_id_of_a_batch_follows_from_its_content(tmp_path: Path) -> None:
    journal = RunJournal.open(tmp_path, "import", DIGEST)

    def request(*specifications: tuple[str, str]) -> part_service_pb2.BatchUpsertPartsRequest:
        part = part_pb2.Part(part_id="A")
        part.specifications.update(dict(specifications))
        return part_service_pb2.BatchUpsertPartsRequest(parts=[part])

    one = journal.request_id_of("parts", request(("a", "1"), ("b", "2")))

    assert journal.request_id_of("parts", request(("b", "2"), ("a", "1"))) == one
    assert journal.request_id_of("parts", request(("a", "1"), ("b", "3"))) != one
