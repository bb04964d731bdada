"""Shoppers who browse the storefront's REST API: mostly product pages, some listings, a few searches.

The weights follow the way people shop: from a listing to a few products, back to the listing, now and then a search.
Run by `./partstream load`, or by hand: `locust -f loadtests/locustfile.py --host http://127.0.0.1:8000`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from locust import FastHttpUser, between, task

API = "/api/v1"
PAGE_SIZE = 24  # a grid of products on a screen
FAVOURED_PARTS = 20  # of those seen, the ones that are looked at again: a catalogue has a short head and a long tail
SEARCHES = ("resistor", "capacitor 100nf", "0603", "led", "usb", "connector", "mosfet", "ldo", "crystal", "sensor")


class Shopper(FastHttpUser):
    """One person with a browser; keeps entity tags as a browser does."""

    wait_time = between(0.2, 1.0)

    def on_start(self) -> None:
        """Look at the front page: categories and a first listing."""
        self.parts: list[str] = []
        self.categories: list[str] = []
        self.entity_tags: dict[str, str] = {}
        self.browse_categories()
        self.browse_listing()

    @task(1)
    def browse_categories(self) -> None:
        """Open the tree of categories."""
        body = self._get(f"{API}/categories", "/categories")
        self.categories = list(_category_ids(body.get("items", []))) or self.categories

    @task(6)
    def browse_listing(self) -> None:
        """Open a category, or the whole catalogue, and sometimes its second page."""
        query: dict[str, str | int] = {"page_size": PAGE_SIZE}
        if self.categories and random.random() < 0.8:
            query["category"] = random.choice(self.categories)
        if random.random() < 0.2:
            query["in_stock"] = "true"
        body = self._listing(query, "/parts?category")
        if body.get("next_page_token") and random.random() < 0.3:
            self._listing({**query, "page_token": body["next_page_token"]}, "/parts?category (next page)")

    @task(2)
    def search(self) -> None:
        """Search for a word."""
        self._listing({"q": random.choice(SEARCHES), "page_size": PAGE_SIZE}, "/parts?q")

    @task(20)
    def open_product_page(self) -> None:
        """Open a product page: the summary at once, then the whole of it."""
        if part := self._some_part():
            self._get(f"{API}/parts/{part}?view=summary", "/parts/{id}?view=summary")
            self._get(f"{API}/parts/{part}", "/parts/{id}")

    @task(8)
    def check_stock(self) -> None:
        """Ask for the stock of a part, as a cart does."""
        if part := self._some_part():
            self._get(f"{API}/parts/{part}/stock", "/parts/{id}/stock")

    @task(3)
    def compare_neighbours(self) -> None:
        """Go through a few parts of the last listing in turn."""
        for part, _ in pairwise(self.parts[:4]):
            self._get(f"{API}/parts/{part}", "/parts/{id}")

    def _listing(self, query: dict[str, str | int], name: str) -> dict[str, Any]:
        body = self._get(f"{API}/parts", name, query)
        seen = [item["part_id"] for item in body.get("items", [])]
        self.parts = (seen + self.parts)[: 4 * PAGE_SIZE]
        return body

    def _some_part(self) -> str | None:
        if not self.parts:
            return None
        return random.choice(self.parts[:FAVOURED_PARTS] if random.random() < 0.7 else self.parts)

    def _get(self, path: str, name: str, query: dict[str, str | int] | None = None) -> dict[str, Any]:
        """Answer the body; nothing for 304 and for a part that is gone, which both are as they should be."""
        known = None if query else self.entity_tags.get(path)
        headers = {"If-None-Match": known} if known else {}
        with self.client.get(path, params=query, name=name, headers=headers, catch_response=True) as response:
            if response.status_code in {304, 404, 410}:
                response.success()
                return {}
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
                return {}
            if not query and (tag := response.headers.get("ETag")):
                self.entity_tags[path] = tag
            body = response.json()
            response.success()
        return body if isinstance(body, dict) else {"items": body}


def _category_ids(tree: list[dict[str, Any]]) -> Iterator[str]:
    for category in tree:
        yield category["category_id"]
        yield from _category_ids(category.get("children", []))
