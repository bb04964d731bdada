"""List and search parts."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator

import asyncpg
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chassis.errors import FieldInvalid, PageTokenInvalid, PermissionMissing, RevisionNotYetServed, TokenMissing
from content_svc.errors import CategoryNotFound
from partstream.content.v1 import part_pb2
from partstream.content.v1 import part_service_pb2 as pb
from tests.content_svc.running_service import RunningService, rejected, resistor


@pytest.fixture
async def catalogue(service: RunningService) -> None:
    """A small tree with parts of every kind."""
    await service.add_category("passives", "Passives", position=1)
    await service.add_category("resistors", "Resistors", "passives")
    await service.add_category("chip-resistors", "Chip", "resistors")
    await service.add_category("actives", "Actives")

    def money(amount: int) -> part_pb2.Money:
        return part_pb2.Money(amount_minor=amount, currency="USD")

    parts = [
        resistor(
            "C17414",
            title="Uniroyal 0603WAF1002T5E",
            mpn="0603WAF1002T5E",
            summary="10kΩ ±1% 厚膜电阻 0603",
            price=money(3),
        ),
        resistor(
            "C17415",
            title="Yageo RC0603FR-0722KL",
            category_id="chip-resistors",
            summary="Thick film resistors",
            price=money(1),
        ),
        resistor("C2", title="apple", category_id="chip-resistors"),
        resistor("LM358.D", title="Operational amplifiers, dual", category_id="actives", price=money(50), mpn="LM358"),
        resistor("draft", title="Draft resistor", status=part_pb2.PART_STATUS_DRAFT),
        resistor("gone", title="Gone resistor"),
    ]
    response = await service.staff.BatchUpsertParts(pb.BatchUpsertPartsRequest(parts=parts))
    assert {result.outcome for result in response.results} == {pb.PART_UPSERT_OUTCOME_CREATED}
    connection = await asyncpg.connect(service.dsn)
    await connection.execute("UPDATE part SET deleted_at = now() WHERE part_id = 'gone'")
    await connection.close()


async def ids(service: RunningService, **filters: object) -> list[str]:
    response = await service.public.ListParts(pb.ListPartsRequest(**filters))  # type: ignore[arg-type]
    return [part.part_id for part in response.parts]


LISTINGS: list[tuple[dict[str, object], list[str]]] = [
    ({}, ["C17414", "C17415", "C2", "LM358.D"]),
    ({"category_id": "passives"}, ["C17414", "C17415", "C2"]),
    ({"category_id": "chip-resistors"}, ["C17415", "C2"]),
    ({"order": pb.PART_ORDER_TITLE}, ["C2", "LM358.D", "C17414", "C17415"]),
    ({"order": pb.PART_ORDER_PRICE_ASC}, ["C17415", "C17414", "LM358.D", "C2"]),
    ({"order": pb.PART_ORDER_PRICE_DESC}, ["LM358.D", "C17414", "C17415", "C2"]),
    ({"query": "C1741"}, ["C17414", "C17415"]),
    ({"query": "c17414"}, ["C17414"]),
    ({"query": "0603waf"}, ["C17414"]),
    ({"query": "LM358."}, ["LM358.D"]),
    ({"query": "lm35"}, ["LM358.D"]),
    ({"query": "amplifier"}, ["LM358.D"]),
    ({"query": "film resistor"}, ["C17415"]),
    ({"query": "电阻"}, ["C17414"]),
    ({"query": "膜电"}, ["C17414"]),
    ({"query": "10kΩ"}, ["C17414"]),
    ({"query": "c1", "order": pb.PART_ORDER_PRICE_ASC}, ["C17415", "C17414"]),
    ({"query": "yageo", "category_id": "actives"}, []),
    ({"query": "100%_\\'\"&|!():*<->"}, []),
    ({"query": "%"}, []),
    ({"query": "  "}, ["C17414", "C17415", "C2", "LM358.D"]),
]


async def test_a_listing_is_filtered_and_ordered(service: RunningService, catalogue: None) -> None:
    listed = [(filters, await ids(service, **filters)) for filters, _ in LISTINGS]

    assert listed == LISTINGS


async def test_pages_return_every_part_once_in_order(service: RunningService, catalogue: None) -> None:
    for order in pb.PartOrder.values():
        for query in ("", "0603", "c"):
            whole = await ids(service, order=order, query=query)

            assert await paged_ids(service, order, query) == whole


async def paged_ids(service: RunningService, order: pb.PartOrder.ValueType, query: str) -> list[str]:
    paged: list[str] = []
    token = ""
    while True:
        request = pb.ListPartsRequest(order=order, query=query, page_size=1, page_token=token)
        response = await service.public.ListParts(request)
        paged += [part.part_id for part in response.parts]
        token = response.next_page_token
        if not token:
            return paged


async def test_a_page_token_is_valid_for_the_same_filters_only(service: RunningService, catalogue: None) -> None:
    token = (await service.public.ListParts(pb.ListPartsRequest(page_size=1))).next_page_token

    async with rejected(PageTokenInvalid):
        await ids(service, category_id="passives", page_token=token)
    async with rejected(PageTokenInvalid):
        await ids(service, page_token="nonsense")


async def test_unpublished_parts_need_a_permission(service: RunningService, catalogue: None) -> None:
    draft = pb.ListPartsRequest(status=part_pb2.PART_STATUS_DRAFT)

    assert [part.part_id for part in (await service.staff.ListParts(draft)).parts] == ["draft"]
    async with rejected(TokenMissing):
        await service.public.ListParts(draft)
    async with rejected(PermissionMissing):
        await service.client("bob", ["stock:read"]).ListParts(draft)


async def test_an_unknown_category_is_not_found(service: RunningService, catalogue: None) -> None:
    async with rejected(CategoryNotFound):
        await ids(service, category_id="nowhere")
    await service.add_category("empty", "Empty")
    assert await ids(service, category_id="empty") == []


async def test_categories_are_a_tree_with_counts(service: RunningService, catalogue: None) -> None:
    response = await service.public.ListCategories(pb.ListCategoriesRequest())

    assert [(category.category_id, category.part_count, list(category.path)) for category in response.categories] == [
        ("actives", 1, ["Actives"]),
        ("passives", 3, ["Passives"]),
        ("resistors", 3, ["Passives", "Resistors"]),
        ("chip-resistors", 2, ["Passives", "Resistors", "Chip"]),
    ]


async def test_a_read_waits_for_its_minimum_revision(service: RunningService, catalogue: None) -> None:
    token = (await service.public.ListCategories(pb.ListCategoriesRequest())).revision_token
    assert await ids(service, min_revision_token=token)

    head = await service.app.feed.tailer._reader.head()
    beyond = service.app.feed.token_for(head.revision + 1)
    async with rejected(RevisionNotYetServed):
        await ids(service, min_revision_token=beyond)


async def test_a_page_of_long_descriptions_ends_early(service: RunningService, resistors: str) -> None:
    for number in range(24):
        await service.add_part(resistor(f"R{number:02}", description="x" * 99_000))

    response = await service.public.ListParts(pb.ListPartsRequest())

    assert len(response.parts) == 20
    rest = await service.public.ListParts(pb.ListPartsRequest(page_token=response.next_page_token))
    assert len(rest.parts) == 4


ALIKE = [
    ("5 \u00b5F", "5 \u03bcF"),  # micro sign, Greek mu
    ("Caf\u00e9", "Cafe\u0301"),
    ("\u212bngstr\u00f6m", "a\u030angstro\u0308m"),
    ("\ufb01lter", "filter"),
    ("\uff11\uff10k", "10K"),
    ("STRASSE", "stra\u00dfe"),
    ("\u03a3\u039f\u03a6\u039f\u03a3", "\u03c3\u03bf\u03c6\u03bf\u03c2"),
    ("\u2126", "\u03c9"),
]


@pytest.mark.parametrize("pair", ALIKE, ids=str)
async def test_search_ignores_unicode_forms(service: RunningService, resistors: str, pair: tuple[str, str]) -> None:
    """A capacitor of 5 uF with a micro sign was once not found with the Greek letter."""
    for name, text in zip("AB", pair, strict=True):
        await service.add_part(resistor(f"title-{name}", title=f"zqy {text} lamp"))
        await service.add_part(resistor(f"mpn-{name}", title="x", mpn=f"zqy {text}", manufacturer=text))
        await service.add_part(resistor(f"text-{name}", title="x", description=f"zqy {text}", summary=text))

    for text in pair:
        found = await ids(service, query=f"zqy {text}")
        assert set(found) == {f"{field}-{name}" for field in ("title", "mpn", "text") for name in "AB"}


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(max_codepoint=0xFFFF), max_size=30))  # what every server's tables have
def test_all_unicode_forms_of_a_text_fold_to_the_same(folded: Callable[[str], str], text: str) -> None:
    clean = text.replace("\0", "").encode("utf-8", "ignore").decode()
    expected = folded(clean)

    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert folded(unicodedata.normalize(form, clean)) == expected
    assert folded(expected) == expected


@pytest.fixture
def folded(content_dsn: str) -> Iterator[Callable[[str], str]]:
    """The database's folding of words."""
    with psycopg.connect(content_dsn, autocommit=True) as connection:

        def fold(text: str) -> str:
            row = connection.execute("SELECT search_folded(%s)", [text]).fetchone()
            assert row is not None
            return str(row[0])

        yield fold


async def test_two_unicode_forms_of_one_specification_name_are_invalid(service: RunningService, resistors: str) -> None:
    twice = resistor(specifications={"Caf\u00e9": 1, "Cafe\u0301": 2})

    async with rejected(FieldInvalid) as errors:
        await service.add_part(twice)

    (field,) = errors[0].fields
    assert field.path in {f'part.specifications["{name}"]' for name in ("Caf\u00e9", "Cafe\u0301")}
    assert field.message == "has the name of another one, in another Unicode form"
