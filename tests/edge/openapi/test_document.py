"""The OpenAPI document names every operation and describes every field."""

import re
from typing import Any

import httpx
import pytest

from edge.openapi.field_descriptions import described_fields, description_of
from tests.edge.routes.schemas import Schemas


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("http://edge/schema/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in document["paths"].values() for operation in path.values()]


def fields(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    schemas = document["components"]["schemas"]
    return [(name, field, made) for name in schemas for field, made in schemas[name].get("properties", {}).items()]


async def test_operation_ids_are_unique_and_named_like_methods(document: dict[str, Any]) -> None:
    """The default ids are made from the path: `ApiV1AdminMovementsPartIdLocationIdVersionReverseReverseMovement`."""
    ids = [operation["operationId"] for operation in operations(document)]

    assert len(set(ids)) == len(ids)
    assert {"reverseMovement", "getPart", "setStock", "createReservation", "listAuditEntries"} <= set(ids)
    assert [name for name in ids if not re.fullmatch("[a-z]+(?:[A-Z][a-z]+)*", name)] == []


async def test_every_operation_has_a_summary_and_every_response_a_description(document: dict[str, Any]) -> None:
    for operation in operations(document):
        assert operation["summary"], operation["operationId"]
        assert all(response["description"] for response in operation["responses"].values())


async def test_every_field_has_the_description_of_the_table(document: dict[str, Any]) -> None:
    """A reference to a shared schema has a description of its own, whichever field comes first."""
    wrong = {
        (schema, field): made.get("description")
        for schema, field, made in fields(document)
        if not made.get("description")
        or (description_of(schema, field) and "$ref" in made and made["description"] != description_of(schema, field))
    }

    assert wrong == {}


async def test_every_description_belongs_to_a_field_of_a_schema(document: dict[str, Any]) -> None:
    known = {name for schema, field, _ in fields(document) for name in (field, f"{schema}.{field}")}

    assert described_fields() - known == set()


async def test_every_request_body_has_an_example_that_its_schema_accepts(document: dict[str, Any]) -> None:
    schemas = Schemas(document)

    for operation in operations(document):
        if (body := operation.get("requestBody")) is None:
            continue
        schema = body["content"]["application/json"]["schema"]
        named = next(item for item in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ())) if "$ref" in item)
        (example,) = document["components"]["schemas"][named["$ref"].rsplit("/", 1)[1]]["examples"]
        assert schemas.faults(example, schema) == [], operation["operationId"]


async def test_operations_list_their_security_schemes(document: dict[str, Any]) -> None:
    """Every operation of the administration accepts the session of a browser."""
    by_id = {operation["operationId"]: operation.get("security") for operation in operations(document)}

    assert by_id["setStock"] == [{"bearer": []}, {"session": []}]
    assert by_id["createReservation"] == [{}, {"bearer": []}, {"session": []}]
