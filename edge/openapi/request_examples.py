"""Examples of request bodies in the OpenAPI document, by the name of the schema; each can be sent as it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_PART: Final[dict[str, Any]] = {
    "title": "Resistor 10 kΩ, 0.25 W, 1 %",
    "category_id": "resistors",
    "summary": "Metal film resistor, axial",
    "description": "<p>Metal film resistor for through-hole mounting.</p>",
    "specifications": {"Resistance": "10 kΩ", "Tolerance (%)": 1, "RoHS": True},
    "images": [{"url": "https://example.com/rc-1001.jpg", "alt": "Axial resistor"}],
    "price": {"amount_minor": 12, "currency": "EUR"},
    "price_breaks": [{"from_quantity": 1, "unit_price": "0.12"}, {"from_quantity": 100, "unit_price": "0.045"}],
    "manufacturer": "Example Components",
    "mpn": "MF25-10K",
}
_CREDENTIALS: Final = {"username": "alice", "password": "a long phrase that only alice knows"}

REQUEST_EXAMPLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "HoldRequest": {"lines": [{"part_id": "RC-1001", "quantity": 2}], "ttl_seconds": 900, "order_reference": "A-1042"},
    "ExtendRequest": {"ttl_seconds": 900},
    "NewCustomer": _CREDENTIALS,
    "Credentials": _CREDENTIALS,
    "RefreshRequest": {"refresh_token": "refresh_token of the last sign-in or refresh"},
    "LogoutRequest": {"refresh_token": "refresh_token of the last sign-in or refresh"},
    "NewPart": {"part_id": "RC-1001", "status": "published", **_PART},
    "WholePart": {"expected_version": 7, "status": "published", **_PART},
    "NewCategory": {"category_id": "resistors", "name": "Resistors", "parent_id": "passive-components", "position": 1},
    "CountRequest": {"on_hand": 40, "location_id": "main", "reason": "counted", "expected_version": 7},
    "AdjustRequest": {"delta": -3, "location_id": "main", "reason": "damaged in storage", "expected_version": 7},
    "ReorderPointRequest": {"reorder_point": 10, "location_id": "main", "expected_version": 7},
    "ArchiveRequest": {"location_id": "main", "reason": "discontinued", "expected_version": 7},
    "BatchRequest": {
        "adjustments": [{"part_id": "RC-1001", "delta": 100}, {"part_id": "RC-1002", "delta": 50}],
        "atomic": True,
        "reason": "delivery 2031",
    },
    "TransferRequest": {
        "part_id": "RC-1001",
        "from_location_id": "main",
        "to_location_id": "shop",
        "quantity": 5,
        "reason": "restock the shop",
    },
    "ReverseRequest": {"reason": "entered for the wrong part"},
    "NewLocation": {"location_id": "shop", "name": "Shop"},
    "NewUser": {**_CREDENTIALS, "roles": ["stock_manager"]},
    "UserChange": {"roles": ["auditor"], "disabled": False},
}
