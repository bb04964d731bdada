"""Shoppers who browse the storefront's REST API: mostly product pages, some listings, a few searches.

The weights follow the way people shop: from a listing to a few products, back to the listing, now and then a search.
Run by `./partstream load`, or by hand: `.venv/bin/locust -f loadtests/locustfile.py --host http://127.0.0.1:8000`.

What counts as a failure: no answer, any status but 200 and 304, a 304 that nobody asked for, a body that is not JSON.
A part that was taken from the shelf after it was listed is none.
"""

from __future__ import annotations

import json
import logging
import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from locust import FastHttpUser, between, events, task

API = "/api/v1"
PAGE_SIZE = 24  # a grid of products on a screen
FAVOURED_PARTS = 20  # of those seen, the ones that are looked at again: a catalogue has a short head and a long tail
SEARCHES = ("resistor", "capacitor 100nf", "0603", "led", "usb", "connector", "mosfet", "ldo", "crystal", "sensor")
HTTP_OK = 200
PART_IS_GONE = "PART_NOT_FOUND"

answered: Counter[int] = Counter()  # how many answers had each status; 0 = none came


class Shopper(FastHttpUser):
    """One person with a browser; keeps entity tags as a browser does."""

    host = "http://127.0.0.1:8000"  # where `./partstream up` listens; --host says otherwise
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
        """Return the body; nothing where there is none to use. Judges the answer as a browser would."""
        url = f"{path}?{urlencode(query)}" if query else path
        known = self.entity_tags.get(url)
        headers = {"If-None-Match": known} if known else {}
        with self.client.get(url, name=name, headers=headers, catch_response=True) as response:
            answered[response.status_code] += 1
            if fault := fault_of(response, known):
                response.failure(fault)
                return {}
            response.success()
            if response.status_code != HTTP_OK:
                return {}
            if tag := response.headers.get("ETag"):
                self.entity_tags[url] = tag
            body = response.json()
        return body if isinstance(body, dict) else {"items": body}


def fault_of(response: Any, known: str | None) -> str | None:
    """Say what is wrong with an answer, None when it is as it should be."""
    match response.status_code:
        case 0:
            return f"no answer: {response.error}"
        case 200:
            return None if _is_json(response) else "200 without a JSON body"
        case 304:
            return None if known and not response.text else "304 that was not asked for, or with a body"
        case 404 | 410 if _reason(response) == PART_IS_GONE:
            return None  # taken from the shelf since it was listed
        case status:
            return f"{status} {_reason(response)}".strip()


def _is_json(response: Any) -> bool:
    try:
        response.json()
    except ValueError:
        return False
    return True


def _reason(response: Any) -> str:
    """Return the reason that a problem document gives; nothing for what is none."""
    try:
        return str(response.json()["reason"])
    except (ValueError, KeyError, TypeError):
        return ""


def _add_arguments(parser: Any, **_: Any) -> None:
    # Locust's own --json-file leaves the summary out.
    parser.add_argument("--figures", default="", help="file for the figures as JSON, beside the summary")


def _conclude(environment: Any, **_: Any) -> None:
    if figures := environment.parsed_options.figures:
        entries = [entry.serialize() for entry in environment.stats.entries.values()]
        Path(figures).write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
    if not answered:
        environment.process_exit_code = 1  # Locust itself takes a load without a request for a success
    logging.getLogger(__name__).info(
        "Answers: %s", ", ".join(f"{n:,} with {s}" for s, n in sorted(answered.items())) or "none"
    )


_events: Any = events  # Locust types neither its events nor their decorators
_events.init_command_line_parser.add_listener(_add_arguments)
_events.quitting.add_listener(_conclude)


def _category_ids(tree: list[dict[str, Any]]) -> Iterator[str]:
    for category in tree:
        yield category["category_id"]
        yield from _category_ids(category.get("children", []))
