"""The tree of categories."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import FieldInvalid
from content_svc.domain.category import Category, depth_first, validate_category


@st.composite
def trees(draw: st.DrawFn) -> list[Category]:
    """Categories after their parents, in any order of names and positions."""
    count = draw(st.integers(0, 20))
    return [
        Category(
            category_id=f"c{number}",
            parent_id=f"c{draw(st.integers(0, number - 1))}" if number and draw(st.booleans()) else "",
            name=draw(st.sampled_from("abc")),
            position=draw(st.integers(0, 2)),
            part_count=draw(st.integers(0, 5)),
        )
        for number in range(count)
    ]


@given(trees(), st.randoms())
def test_parents_come_before_their_children_and_counts_are_summed(tree: list[Category], random: object) -> None:
    shuffled = list(tree)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    listed = depth_first(shuffled)

    places = {category.category_id: place for place, category in enumerate(listed)}
    own = {category.category_id: category.part_count for category in tree}
    assert len(listed) == len(tree)
    for category in listed:
        children = [child for child in listed if child.parent_id == category.category_id]
        assert category.part_count == own[category.category_id] + sum(child.part_count for child in children)
        assert all(places[child.category_id] > places[category.category_id] for child in children)
        assert children == sorted(children, key=lambda child: (child.position, child.name, child.category_id))


@pytest.mark.parametrize(
    ("category", "path"),
    [
        (Category(category_id="", name="x"), "category.category_id"),
        (Category(category_id="A", name="x"), "category.category_id"),
        (Category(category_id="a", name=""), "category.name"),
        (Category(category_id="a", name="x" * 201), "category.name"),
        (Category(category_id="a", name="x", parent_id="B"), "category.parent_id"),
    ],
)
def test_a_violation_has_the_path_of_its_field(category: Category, path: str) -> None:
    with pytest.raises(FieldInvalid) as caught:
        validate_category(category)

    assert [field.path for field in caught.value.fields] == [path]
