"""What is made from something else is what it would be if it were made now."""

from devstack import documents, generated_code


def test_generated_code_is_what_the_contracts_make() -> None:
    assert generated_code.differences() == []


def test_documents_are_what_the_code_says() -> None:
    assert documents.stale() == []
