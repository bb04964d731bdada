"""Every response to a generated request is in the OpenAPI document, and none is a 5xx."""

import json
import random
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from edge.app import Edge
from tests.edge.routes.schemas import Schemas
from tests.edge.routes.shop import open_shop, stock

PER_OPERATION = 8
NUMBERS: tuple[Any, ...] = (-1, 0, 1.5, 2**63, 10**30, "1e999")
TEXTS: tuple[Any, ...] = ("", "x" * 300, "\x00", "ä/é?&#", "<script>", "%")
JUNK: tuple[Any, ...] = (*NUMBERS, *TEXTS, None, True, [], {}, [[]])
IDS = ("LED-5MM-RED", "NO-SUCH", "main", "leds", "a b", str(uuid.UUID(int=1)), "🜁", "x" * 65)

HEADERS = ('"1"', '"1", "2"', 'W/"1"', "*", '"', "", "x" * 300, "ä", str(uuid.UUID(int=2)))
# Sent only in some responses.
ON_OCCASION = {"idempotent-replayed", "etag", "www-authenticate", "partstream-owner-key"}


class Sender:
    """Generates requests from a document."""

    def __init__(self, document: dict[str, Any], seed: int) -> None:
        self._document = document
        self._random = random.Random(seed)

    def value(self, schema: dict[str, Any], depth: int = 0) -> Any:
        """Return a value that usually fits the schema, sometimes junk."""
        if self._random.random() < 0.15 or depth > 5:
            return self._random.choice(JUNK)
        if "$ref" in schema:
            return self.value(self._document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], depth + 1)
        if choices := schema.get("oneOf") or schema.get("anyOf"):
            return self.value(self._random.choice(choices), depth + 1)
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        return self._of_kind(schema, depth)

    def _of_kind(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = self._random.choice(kind)
        match kind:
            case "object":
                kept = {name: item for name, item in schema.get("properties", {}).items() if self._keep(schema, name)}
                return {name: self.value(item, depth + 1) for name, item in kept.items()}
            case "array":
                return [self.value(schema.get("items", {}), depth + 1) for _ in range(self._random.randint(0, 3))]
            case "integer":
                return self._random.choice((schema.get("minimum", 0), 1, 2, 7, schema.get("maximum", 100)))
            case "boolean":
                return self._random.choice((True, False))
            case "string":
                return self._random.choice((*IDS, "EUR", "2026-01-01T00:00:00Z", "https://x.example/1.png", "title"))
            case _:
                return self._random.choice(JUNK)

    def _keep(self, schema: dict[str, Any], name: str) -> bool:
        return self._random.random() < (0.95 if name in schema.get("required", ()) else 0.4)

    def request(self, path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a request."""
        params: dict[str, str] = {}
        headers: dict[str, bytes] = {}
        for parameter in operation.get("parameters", ()):
            value = str(self.value(parameter["schema"]))
            if parameter["in"] == "path":
                path = path.replace(f"{{{parameter['name']}}}", quote(value, safe="") or "-")
            elif parameter["in"] == "query" and self._random.random() < 0.5:
                params[parameter["name"]] = value
            elif parameter["in"] == "header" and self._random.random() < 0.2:
                headers[parameter["name"]] = self._random.choice((*HEADERS, value)).encode("latin-1", "replace")
        address = {"method": method.upper(), "url": f"http://edge{path}"}
        made_request: dict[str, Any] = {**address, "params": params, "headers": headers}
        if "requestBody" in operation:
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            raw = json.dumps(self.value(schema)).encode() if self._random.random() < 0.9 else b"{\xff"
            headers["Content-Type"] = b"application/json" if self._random.random() < 0.95 else b"text/plain"
            made_request["content"] = raw
        return made_request


@pytest.mark.parametrize("seed", [1, 2])
async def test_no_undocumented_response_and_no_fault(edge: Edge, admin: httpx.AsyncClient, seed: int) -> None:
    await open_shop(admin)
    await stock(admin, 1000)
    document = (await admin.get("http://edge/schema/openapi.json")).json()
    sender, schemas = Sender(document, seed), Schemas(document)
    operations = [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if not path.endswith(("/logout", "/login", "/session"))
    ]

    for path, method, operation in operations * PER_OPERATION:
        sent = sender.request(path, method, operation)
        response = await admin.request(**sent)
        assert str(response.status_code) in operation["responses"], (sent, response.status_code, response.text)
        assert response.status_code < 500, (sent, response.text)
        documented = operation["responses"][str(response.status_code)]
        named = {name.lower() for name in documented.get("headers", ())}
        assert named - ON_OCCASION <= set(response.headers), sent
        for kind, content in documented.get("content", {}).items():
            assert response.headers["content-type"].partition(";")[0] == kind, sent
            if kind.endswith("json"):
                assert schemas.faults(response.json(), content["schema"]) == [], sent


async def test_no_schema_has_exclusive_alternatives(client: httpx.AsyncClient) -> None:
    """5 is an integer and a number: it matches two alternatives of a ``oneOf``, which is invalid."""
    document = (await client.get("http://edge/schema/openapi.json")).json()

    assert list(_places_of("oneOf", document, "")) == []


def _places_of(word: str, value: Any, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        if word in value:
            yield path
        for name, item in value.items():
            yield from _places_of(word, item, f"{path}/{name}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _places_of(word, item, f"{path}/{at}")
