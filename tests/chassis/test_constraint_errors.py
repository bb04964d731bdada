"""A violated constraint becomes the error that its service's table names."""

from __future__ import annotations

from chassis.constraint_errors import ConstraintError, error_of_constraint, invalid_field
from chassis.errors import FieldInvalid, FieldViolation, HasDependents, InternalFault

TABLE = {
    "title_length": invalid_field("part.title", "must have 1-300 characters"),
    "has_parts": ConstraintError(HasDependents, "The category has parts.", metadata={"cause": "parts"}),
}


def test_a_constraint_on_a_field_names_the_field() -> None:
    error = error_of_constraint("title_length", TABLE)

    assert isinstance(error, FieldInvalid)
    assert error.message == "part.title: must have 1-300 characters"
    assert error.fields == (FieldViolation("part.title", "must have 1-300 characters"),)


def test_a_constraint_on_a_state_has_its_metadata() -> None:
    error = error_of_constraint("has_parts", TABLE)

    assert isinstance(error, HasDependents)
    assert error.metadata == {"rule": "has_parts", "cause": "parts"}


def test_an_unknown_constraint_is_an_internal_fault() -> None:
    for name in ("other", None):
        assert isinstance(error_of_constraint(name, TABLE), InternalFault)
