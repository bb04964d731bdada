"""Generated code is what it would be if it were made now. The made documents are checked by `lint`."""

from cli.development import generated_code


def test_generated_code_is_what_the_contracts_make() -> None:
    assert generated_code.differences() == []
