"""The error classes of all packages and the reasons of the contract are the same."""

from chassis import errors
from content_svc import errors as content_errors
from inventory_svc import errors as inventory_errors
from partstream.changes.v1.error_reason_pb2 import ErrorReason

UNUSED = {"UNSPECIFIED", "VERSION_NOT_FOUND"}  # part of the contract, returned by no method
PACKAGES = {module.__name__ for module in (errors, inventory_errors, content_errors)}
CLASSES = [cls for cls in errors.error_classes() if cls.__module__ in PACKAGES]


def test_every_reason_of_the_contract_has_a_class() -> None:
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118 - not a mapping

    assert reasons - UNUSED == {cls.reason for cls in CLASSES}


def test_a_reason_has_the_same_code_in_every_service() -> None:
    codes = {cls.reason: cls.code for cls in CLASSES}

    assert [cls for cls in CLASSES if cls.code != codes[cls.reason]] == []
