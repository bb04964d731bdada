"""Entity tags in headers: lists are parsed as in RFC 9110, anything else is malformed."""

import re
import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from litestar.testing import RequestFactory

from edge.http.errors import MalformedRequest
from edge.http.preconditions import MOST_TAGS, is_known, precondition, version_tag

epochs = st.uuids()
versions = st.integers(0, 9 * 10**14)
opaque = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters='"'), max_size=20)
blanks = st.text(" \t", max_size=2)
own = st.tuples(epochs, versions, st.sampled_from(["", "-low", ".gzip", "-low.zstd"]), st.booleans())
foreign = opaque.filter(lambda text: not re.fullmatch(r"([0-9a-f]{32}\\.)?[0-9]+(-low)?(\\.[a-z]+)?", text))


def request_with(name: str, *lines: str):  # type: ignore[no-untyped-def] # noqa: ANN201 - the framework's
    """Return a request with a header in any number of lines."""
    made = RequestFactory().get("/")
    made.scope["headers"] = [(name.lower().encode(), line.encode("latin-1")) for line in lines]
    return made


@given(
    tags=st.lists(st.one_of(own, foreign), min_size=1, max_size=8),
    space=blanks,
    lines=st.integers(1, 3),
)
def test_only_strong_tags_of_this_service_count_in_if_match(
    tags: list[tuple[uuid.UUID, int, str, bool] | str], space: str, lines: int
) -> None:
    texts, expected = [], set()
    for tag in tags:
        if isinstance(tag, str):
            texts.append(f'"{tag}"')
            continue
        epoch, version, suffix, is_weak = tag
        texts.append(f'{"W/" if is_weak else ""}"{version_tag(version, epoch)}{suffix}"')
        expected |= set() if is_weak else {(str(epoch), version)}
    parts = [texts[at::lines] for at in range(min(lines, len(texts)))]

    found = precondition(request_with("If-Match", *(f"{space},{space}".join(part) for part in parts)), None)

    assert found.if_match is not None
    assert {(seen.epoch, seen.version) for seen in found.if_match.any_of} == expected
    assert (found.version, found.unconditional) == (None, False)


@given(text=st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=40))
@example(text="*")
@example(text='"a" "b"')
@example(text="W/*")
@example(text=", ,")
def test_any_other_header_is_malformed_or_a_list(text: str) -> None:
    try:
        found = precondition(request_with("If-Match", text), None)
    except MalformedRequest:
        assert not re.fullmatch(r'[ \t]*([*]|(W/)?"[^ "]*")[ \t]*', text)
    else:
        assert found.unconditional == (text.strip(" \t") == "*")
        assert (found.if_match is None) == found.unconditional


@given(known=own, others=st.lists(foreign, max_size=4), is_weak=st.booleans())
def test_a_read_is_fresh_when_any_tag_is_that_of_the_response(
    known: tuple[uuid.UUID, int, str, bool], others: list[str], is_weak: bool
) -> None:
    tag = f'"{version_tag(known[1], known[0])}"'
    listed = [*(f'"{other}"' for other in others), f"W/{tag}" if is_weak else tag]

    assert is_known(request_with("If-None-Match", ", ".join(listed)), tag)
    assert is_known(request_with("If-None-Match", *listed), tag)
    assert not is_known(request_with("If-None-Match", ", ".join(listed[:-1])), tag)


def test_the_number_of_tags_in_a_header_is_bounded() -> None:
    tags = [f'"{version_tag(number, uuid.UUID(int=1))}"' for number in range(MOST_TAGS + 1)]

    assert precondition(request_with("If-Match", ", ".join(tags[:-1])), None).if_match is not None
    with pytest.raises(MalformedRequest):
        precondition(request_with("If-Match", ", ".join(tags)), None)
