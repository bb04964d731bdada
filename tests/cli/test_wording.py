"""The check that texts and names use standard terms."""

import pytest

from cli.development import wording


@pytest.mark.parametrize(
    ("text", "rejected"),
    [
        ("Whoever asks is told.", ["Whoever", "is told"]),
        ("the_answer", ["answer"]),
        ("Redis is away", ["is away"]),
        ("Returns the stock of a part.", []),
        ("unanswered", []),
        ('the system user "nobody"', []),
        ("answered_by", []),
    ],
)
def test_rejected_words_are_found_in_texts_and_names(text: str, rejected: list[str]) -> None:
    assert [word for word, _ in wording.rejected_words(text)] == rejected


def test_each_rejected_word_has_a_standard_term() -> None:
    assert dict(wording.rejected_words("somebody")) == {"somebody": "a caller, no client, another process"}
