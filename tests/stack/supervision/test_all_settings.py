"""What some process would refuse is said before anything starts."""

from pathlib import Path

from stack.supervision import all_settings
from stack.supervision.leftovers import FOLDER_MARK
from tests.harness.certificates import Authority


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


def test_certificates_are_checked_before_anything_starts(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, other = authority.issue("services"), authority.issue("other")
    name = "PARTSTREAM_GRPC_TLS_"
    whole = {
        f"{name}CERT": str(own.certificate),
        f"{name}KEY": str(own.key),
        f"{name}CA": str(authority.certificate),
    }

    assert not all_settings.wrong(whole)
    (mixed,) = all_settings.wrong(whole | {f"{name}KEY": str(other.key)})
    assert "is not the key of the certificate" in mixed
    (alone,) = all_settings.wrong({key: value for key, value in whole.items() if key != f"{name}CA"})
    assert alone == f"{name}CERT is set, but {name}CA is not: the services and their callers need both"
    (uncertain,) = all_settings.wrong(whole | {f"{name}CLIENT_CA": str(authority.certificate)})
    assert f"{name}CLIENT_CERT is not" in uncertain
    (missing,) = all_settings.wrong(whole | {f"{name}CA": str(tmp_path / "nowhere")})
    assert missing.startswith(f"{name}CA is wrong: no file at")


def test_a_setting_that_up_gives_itself_is_not_looked_at() -> None:
    assert not all_settings.wrong({"PARTSTREAM_SIGNING_KEY_FILE": "/nowhere", "PARTSTREAM_EDGE_URLS": "?"})


def test_a_name_that_nothing_reads_is_said_with_the_one_that_is_meant() -> None:
    lines = all_settings.unknown(
        {"PARTSTREAM_INVENTORY_PROT": "1", "PARTSTREAM_DATA_DIR": "x", "HOME": "/", FOLDER_MARK: "x"}
    )

    assert lines == [
        "PARTSTREAM_INVENTORY_PROT is set, but no process reads it; did you mean PARTSTREAM_INVENTORY_PORT?"
    ]
