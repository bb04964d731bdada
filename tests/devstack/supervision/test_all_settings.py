"""What some process would refuse is said before anything starts."""

from devstack.supervision import all_settings
from devstack.supervision.leftovers import FOLDER_MARK


def test_settings_of_every_process_are_checked_at_once() -> None:
    """A slip in a setting of the edge was once found only after everything else had started, three times over."""
    environment = {
        "PARTSTREAM_MAX_CONCURRENT_REQUESTS": "many",
        "PARTSTREAM_LOG_KEEP_DAYS": "-3",
        "PARTSTREAM_REDIS_URL": "somewhere",
        "PARTSTREAM_LOG_LEVEL": "INFO",
    }

    problems = all_settings.wrong(environment)

    assert sorted(problem.split()[0] for problem in problems) == [
        "PARTSTREAM_LOG_KEEP_DAYS",
        "PARTSTREAM_MAX_CONCURRENT_REQUESTS",
        "PARTSTREAM_REDIS_URL",
    ]


def test_a_setting_that_up_gives_itself_is_not_looked_at() -> None:
    assert not all_settings.wrong({"PARTSTREAM_SIGNING_KEY_FILE": "/nowhere", "PARTSTREAM_EDGE_URLS": "?"})


def test_a_name_that_nothing_reads_is_said_with_the_one_that_is_meant() -> None:
    lines = all_settings.unknown(
        {"PARTSTREAM_INVENTORY_PROT": "1", "PARTSTREAM_DATA_DIR": "x", "HOME": "/", FOLDER_MARK: "x"}
    )

    assert lines == ["PARTSTREAM_INVENTORY_PROT is set, but nothing reads it; is PARTSTREAM_INVENTORY_PORT meant?"]
