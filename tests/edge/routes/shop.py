"""A small catalogue for tests."""

from typing import Any

import httpx

PART: dict[str, Any] = {
    "part_id": "LED-5MM-RED",
    "title": "Red LED, 5 mm",
    "category_id": "leds",
    "summary": "A bright red LED.",
    "description": "<p>Two volts, twenty milliamperes.</p>",
    "specifications": {"diameter_mm": 5, "forward_voltage": 2.1, "colour": "red", "rohs": True},
    "images": [{"url": "/images/led.png", "alt": "The LED"}],
    "price": {"amount_minor": 12, "currency": "EUR"},
    "status": "published",
}


async def open_shop(admin: httpx.AsyncClient, *part_ids: str) -> None:
    """Create a category with the part, and copies of the part under other ids."""
    created = await admin.post("/admin/categories", json={"category_id": "leds", "name": "LEDs"})
    assert created.status_code == 201, created.text
    for part_id in (PART["part_id"], *part_ids):
        response = await admin.post("/admin/parts", json={**PART, "part_id": part_id})
        assert response.status_code == 201, response.text


async def stock(admin: httpx.AsyncClient, on_hand: int, part_id: str = "LED-5MM-RED") -> dict[str, Any]:
    """Set the first stock of a part."""
    response = await admin.put(f"/admin/parts/{part_id}/stock", json={"on_hand": on_hand, "expected_version": 0})
    assert response.status_code == 200, response.text
    level: dict[str, Any] = response.json()
    return level


def seen(response: httpx.Response) -> dict[str, str]:
    """Return headers that make the next read wait for the revision of a response."""
    return {"Partstream-Min-Revision": response.headers["partstream-revision"]}
