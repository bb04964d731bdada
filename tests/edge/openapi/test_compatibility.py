"""The REST interface stays compatible within v1 (docs/compatibility.md): ``tests/compatibility/rest.json``."""

from collections.abc import Iterator
from typing import Any

import httpx

from tests.compatibility.baseline import changes, recorded

# What describes a value to people, and may change.
_TEXTS = {"description", "examples", "title", "default", "deprecated"}


async def _interface(client: httpx.AsyncClient) -> dict[str, Any]:
    document: dict[str, Any] = (await client.get("http://edge/schema/openapi.json")).json()
    return dict(
        entry
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        for entry in _operation(f"{method.upper()} {path}", operation, document)
    )


def _operation(name: str, operation: dict[str, Any], document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    yield name, operation["operationId"]
    for parameter in operation.get("parameters", []):
        is_required = "required" if parameter["required"] else "optional"
        key = f"{name} parameter {parameter['in']}:{parameter['name']}"
        yield key, [is_required, _rules(parameter["schema"], document)]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield from _fields(f"{name} request {media_type}", content["schema"], document, ())
    for status, response in operation["responses"].items():
        yield f"{name} response {status}", "response"
        for media_type, content in response.get("content", {}).items():
            if status.startswith("2"):
                yield from _fields(f"{name} response {status} {media_type}", content["schema"], document, ())


def _fields(path: str, schema: dict[str, Any], document: dict[str, Any], above: tuple[str, ...]) -> Iterator[Any]:
    reference = schema.get("$ref", "")
    if reference in above:
        return
    within = (*above, reference) if reference else above
    resolved = _resolved(schema, document)
    for variant in resolved.get("anyOf", []):
        yield from _fields(path, variant, document, within)
    if "items" in resolved:
        yield from _fields(f"{path}[]", resolved["items"], document, within)
    for field, rule in resolved.get("properties", {}).items():
        is_required = "required" if field in resolved.get("required", []) else "optional"
        yield f"{path}.{field}", [is_required, _rules(rule, document)]
        yield from _fields(f"{path}.{field}", rule, document, within)


def _rules(schema: dict[str, Any], document: dict[str, Any]) -> str:
    """Return the type and limits of a value; those of an object are its fields."""
    resolved = _resolved(schema, document)
    if "anyOf" in resolved:
        return " | ".join(sorted(_rules(variant, document) for variant in resolved["anyOf"]))
    limits = {name: value for name, value in resolved.items() if name not in {*_TEXTS, "properties", "required"}}
    limits.pop("additionalProperties", None)
    limits.pop("items", None)
    return " ".join(f"{name}={value}" for name, value in sorted(limits.items()))


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


async def test_no_operation_parameter_or_field_is_removed_or_changed(
    client: httpx.AsyncClient, renew_baselines: bool
) -> None:
    assert changes("rest", await _interface(client), renew=renew_baselines) == []


async def test_no_existing_operation_gains_a_required_parameter_or_field(client: httpx.AsyncClient) -> None:
    """A client that omits what did not exist when it was written must stay valid."""
    known = recorded("rest")
    added = {key: value for key, value in (await _interface(client)).items() if key not in known}

    operations = {key for key in known if " " not in key.partition(" ")[2]}
    assert [
        key
        for key, value in added.items()
        if value[0] == "required"
        and (" parameter " in key or " request " in key)
        and " ".join(key.split(" ")[:2]) in operations
    ] == []
