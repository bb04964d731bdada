"""Categories found by name and given ids."""

import re

from hypothesis import given
from hypothesis import strategies as st

from cli.catalogue_import.categories import CategoryTree, KnownCategory


def placed(tree: CategoryTree, *path: str) -> str:
    for depth in range(1, len(path) + 1):
        tree.plan(path[:depth])
    found = tree.find(path)
    assert found is not None
    return found[-1].category_id


def test_ids_are_slugs_of_the_whole_path() -> None:
    tree = CategoryTree()

    assert placed(tree, "Filters/EMI Optimization", "Ferrite Beads") == "filters-emi-optimization--ferrite-beads"
    assert placed(tree, "Filters/EMI Optimization") == "filters-emi-optimization"


def test_names_that_differ_by_case_space_or_width_are_one_and_the_first_spelling_wins() -> None:
    tree = CategoryTree()

    first = placed(tree, "Diodes", "Rectifier (SBR)")

    assert placed(tree, "DIODES", "rectifier\uff08SBR\uff09") == first
    assert tree.find(["diodes", "Rectifier(SBR)"]) == [
        KnownCategory("diodes", "", "Diodes"),
        KnownCategory("diodes--rectifier-sbr", "diodes", "Rectifier (SBR)"),
    ]


def test_names_that_differ_otherwise_stay_apart_under_equal_slugs() -> None:
    tree = CategoryTree()

    first, second = placed(tree, "FFC/FPC"), placed(tree, "FFC, FPC")

    assert first == "ffc-fpc"
    assert re.fullmatch("ffc-fpc-[0-9a-f]{8}", second)


def test_a_category_that_exists_under_another_id_is_used() -> None:
    tree = CategoryTree([KnownCategory("r", "", "Resistors")])

    assert placed(tree, "resistors", "Chip") == "r--chip"


def test_an_id_that_somebody_else_has_is_replaced_by_a_marked_one() -> None:
    tree = CategoryTree()
    planned = tree.plan(["Diodes"])
    assert planned is not None

    again = tree.plan_again(planned)

    assert re.fullmatch("diodes-[0-9a-f]{8}", again.category_id)
    assert tree.find(["diodes"]) == [again]


def test_the_same_name_under_two_parents_is_two_categories() -> None:
    tree = CategoryTree()

    assert placed(tree, "A", "Others") != placed(tree, "B", "Others")


@given(st.lists(st.lists(st.text(min_size=1, max_size=60).filter(str.strip), min_size=1, max_size=3), max_size=8))
def test_every_path_gets_one_valid_id_and_gets_it_again(paths: list[list[str]]) -> None:
    tree, again = CategoryTree(), CategoryTree()

    ids = [placed(tree, *path) for path in paths]

    assert ids == [placed(again, *path) for path in paths]
    assert ids == [placed(tree, *path) for path in paths]
    assert all(re.fullmatch("[a-z0-9-]{1,128}", each) for each in ids)
