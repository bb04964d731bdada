"""Merge a write into a part."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import FieldInvalid
from content_svc.domain.part import CONTENT_FIELDS, PartContent
from content_svc.domain.part_merge import changed_fields, merge_content
from tests.content_svc.domain.generated import contents

MASKS = st.lists(st.sampled_from(CONTENT_FIELDS), min_size=1, unique=True)


@given(contents(), contents(), MASKS)
def test_exactly_the_masked_fields_are_set(present: PartContent, wanted: PartContent, mask: list[str]) -> None:
    merged = merge_content(present, wanted, mask)

    for name in CONTENT_FIELDS:
        source = wanted if name in mask else present
        assert getattr(merged, name) == getattr(source, name)


@given(contents(), contents(), st.sampled_from(([], ["*"])))
def test_an_empty_mask_sets_every_field(present: PartContent, wanted: PartContent, mask: list[str]) -> None:
    assert merge_content(present, wanted, mask) == wanted


@given(contents(), contents())
def test_an_unset_status_keeps_the_present_one(present: PartContent, wanted: PartContent) -> None:
    assert merge_content(present, replace(wanted, status=None), []).status == present.status


@pytest.mark.parametrize("path", ["version", "part_id", "price.amount_minor", "nonsense"])
def test_a_mask_with_a_field_that_no_caller_can_set_is_invalid(path: str) -> None:
    content = PartContent(category_id="a", title="b")

    with pytest.raises(FieldInvalid) as caught:
        merge_content(content, content, ["title", path])

    assert [field.path for field in caught.value.fields] == ["update_mask"]


@given(contents(), contents())
def test_changed_fields_are_those_that_differ(before: PartContent, after: PartContent) -> None:
    changed = changed_fields(before, after)

    assert list(changed) == sorted(changed)
    assert merge_content(before, after, changed or ["title"]) == merge_content(before, after, [])


@given(contents())
def test_equal_content_has_no_changed_fields(content: PartContent) -> None:
    assert changed_fields(content, replace(content)) == ()


def test_true_differs_from_one() -> None:
    one = PartContent(category_id="a", title="b", specifications={"x": 1})

    assert changed_fields(one, replace(one, specifications={"x": True})) == ("specifications",)
