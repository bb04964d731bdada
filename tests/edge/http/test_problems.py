"""Every reason has a status and survives the way from a service to the browser."""

import pytest

from chassis.errors import PartstreamError, error_classes
from chassis.rich_status import from_status, to_status
from edge.http.problems import STATUS_BY_REASON, problem_of, problem_response
from partstream.changes.v1.error_reason_pb2 import ErrorReason

CLASSES = {cls.reason: cls for cls in error_classes()}


def test_every_reason_of_the_contract_has_a_status() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118 - not a mapping

    assert set(STATUS_BY_REASON) == reasons - {"UNSPECIFIED"}


@pytest.mark.parametrize("reason", sorted(CLASSES))
def test_reason_survives_the_wire(reason: str) -> None:
    error: PartstreamError = CLASSES[reason]("a detail for people", metadata={"fact": "1"})

    arrived = from_status(to_status(error, lambda _: None))

    problem = problem_of(arrived)
    assert (problem.reason, problem.detail) == (reason, "a detail for people")
    assert problem.status == STATUS_BY_REASON[reason][0]
    assert problem.metadata == {"fact": "1"}


@pytest.mark.parametrize("reason", [name for name, (status, _) in STATUS_BY_REASON.items() if status == 503])
def test_temporary_errors_have_retry_after(reason: str) -> None:
    response = problem_response(CLASSES[reason]("later", retry_after_seconds=1.2))

    assert response.headers["Retry-After"] == "2"
