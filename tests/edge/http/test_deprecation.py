"""Responses of a deprecated route announce its removal."""

import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from litestar import Litestar, Request, get
from litestar.testing import TestClient

from edge.http.deprecation import deprecated
from edge.http.request_context import RequestContext, set_request_context

SINCE = datetime(2026, 11, 1, tzinfo=UTC)
SUNSET = datetime(2027, 6, 30, 12, 0, tzinfo=UTC)


def app() -> Litestar:
    @get("/old", **deprecated(SINCE, link="https://example.com/new", sunset=SUNSET))
    async def old() -> dict[str, int]:
        return {"value": 1}

    @get("/undecided", **deprecated(SINCE, link="https://example.com/new"))
    async def undecided() -> None:
        return None

    async def enter(request: Request[Any, Any, Any]) -> None:
        set_request_context(RequestContext(client_ip=request.headers["client"], route=request.url.path))

    return Litestar([old, undecided], before_request=enter)


def test_headers_state_since_when_until_when_and_the_replacement() -> None:
    with TestClient(app()) as client:
        response = client.get("/old", headers={"client": "192.0.2.1"})
        undecided = client.get("/undecided", headers={"client": "192.0.2.1"})

    assert response.json() == {"value": 1}
    assert response.headers["Deprecation"] == "@1793491200"
    assert response.headers["Sunset"] == "Wed, 30 Jun 2027 12:00:00 GMT"
    assert response.headers["Link"] == '<https://example.com/new>; rel="deprecation"'
    assert "Sunset" not in undecided.headers


def test_the_document_marks_the_operation() -> None:
    document = app().openapi_schema.to_schema()

    assert document["paths"]["/old"]["get"]["deprecated"] is True


def test_a_client_is_logged_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[Any] = []
    handler = logging.Handler()
    monkeypatch.setattr(handler, "emit", lines.append)
    logger = logging.getLogger("edge.http.deprecation")
    with TestClient(app()) as client:  # which configures logging
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
            client.get("/old", headers={"client": address})
        logger.removeHandler(handler)

    assert [(line.getMessage(), line.route, line.client_ip) for line in lines] == [
        ("deprecated route used", "/old", "192.0.2.1"),
        ("deprecated route used", "/old", "192.0.2.2"),
    ]
