"""Validate values by the JSON schemas of the OpenAPI document, in the subset that the document uses."""

from typing import Any

KINDS: dict[str, Any] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
    "array": list,
    "object": dict,
}


class Schemas:
    """The schemas of a document."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._components = document["components"]["schemas"]

    def faults(self, value: Any, schema: dict[str, Any], path: str = "$") -> list[str]:
        """Return the violations of a value, by path; empty when it is valid."""
        if "$ref" in schema:
            return self.faults(value, self._components[schema["$ref"].rsplit("/", 1)[1]], path)
        for word, fitting in (("anyOf", range(1, 100)), ("oneOf", range(1, 2))):
            if word in schema:
                tried = [self.faults(value, item, path) for item in schema[word]]
                if sum(not found for found in tried) not in fitting:
                    return [f"{path}: {word} of {tried}"]
        if "enum" in schema and value not in schema["enum"]:
            return [f"{path}: {value!r} is none of {schema['enum']}"]
        if "type" in schema and not self._is(value, schema["type"]):
            return [f"{path}: {value!r} is no {schema['type']}"]
        if isinstance(value, dict):
            return self._of_object(value, schema, path)
        if isinstance(value, list):
            items = schema.get("items", {})
            return [fault for at, item in enumerate(value) for fault in self.faults(item, items, f"{path}[{at}]")]
        return []

    @staticmethod
    def _is(value: Any, kinds: str | list[str]) -> bool:
        names = [kinds] if isinstance(kinds, str) else kinds
        return any(isinstance(value, KINDS[name]) and (name == "boolean" or value is not True) for name in names)

    def _of_object(self, value: dict[str, Any], schema: dict[str, Any], path: str) -> list[str]:
        known = schema.get("properties", {})
        others = schema.get("additionalProperties", {})
        found = [f"{path}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        for name, item in value.items():
            if name in known or isinstance(others, dict):
                found += self.faults(item, known.get(name, others), f"{path}.{name}")
            else:
                found.append(f"{path}: {name} is not in the schema")
        return found
