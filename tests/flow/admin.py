"""The admin of a stack, over REST."""

import asyncio
import uuid
from types import TracebackType
from typing import Any, Self

import httpx

from tests.flow.running_stack import ADMIN_PASSWORD, RunningStack

UNAVAILABLE_SECONDS = 20.0


class Admin:
    """Signed in at the first edge; raises for every answer that is not a success."""

    def __init__(self, stack: RunningStack) -> None:
        self._stack = stack
        self._client = httpx.AsyncClient(base_url=f"{stack.edge_url()}/api/v1", timeout=20.0)

    async def __aenter__(self) -> Self:
        body = {"username": "admin", "password": ADMIN_PASSWORD}
        response = await self._client.post("/auth/login", json=body)
        response.raise_for_status()
        self._client.headers["Authorization"] = f"Bearer {response.json()['access_token']}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def create_part(self, part_id: str, **members: Any) -> dict[str, Any]:
        """Create a published part in a category of its own making."""
        await self._sent("/admin/categories", {"category_id": "flow", "name": "Flow"})
        body = {"part_id": part_id, "title": part_id, "category_id": "flow", "status": "published", **members}
        return self._body(await self._sent("/admin/parts", body))

    async def _sent(self, path: str, body: dict[str, Any]) -> httpx.Response:
        """Post, and repeat what a 503 asks to repeat: a service that was just replaced may not be connected yet."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        async with asyncio.timeout(UNAVAILABLE_SECONDS):
            while True:
                response = await self._client.post(path, json=body, headers=headers)
                if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return response
                await asyncio.sleep(float(response.headers.get("Retry-After", "1")))

    async def get(self, path: str) -> dict[str, Any]:
        """Read what is at a path."""
        response = await self._client.get(path)
        response.raise_for_status()
        found: dict[str, Any] = response.json()
        return found

    async def put_part(self, part: dict[str, Any], **changes: Any) -> httpx.Response:
        """Replace a part by what it was plus `changes`, expecting the version that `part` has."""
        kept = {name: part[name] for name in ("title", "category_id", "description", "status")}
        body = {**kept, **changes, "expected_version": part["version"]}
        response = await self._client.put(f"/admin/parts/{part['part_id']}", json=body)
        self._body(response)
        return response

    async def put_stock(self, part_id: str, on_hand: int, expected_version: int) -> httpx.Response:
        """Set the stock of a part at `main`."""
        body = {"on_hand": on_hand, "reason": "flow test", "expected_version": expected_version}
        response = await self._client.put(f"/admin/parts/{part_id}/stock", json=body)
        self._body(response)
        return response

    async def audit(self, part_id: str) -> list[dict[str, Any]]:
        """Return the audit rows of a part as the edge shows them."""
        rows: list[dict[str, Any]] = []
        token = ""
        while True:
            query = {"part_id": part_id, "page_size": "200", "page_token": token}
            page = self._body(await self._client.get("/admin/audit", params=query))
            rows += page["items"]
            token = page["next_page_token"]
            if not token:
                return rows

    async def adjust(self, part_id: str, delta: int) -> httpx.Response | None:
        """Add to the stock of a part at `main`; `None` when it was not acknowledged."""
        body = {"delta": delta, "reason": "flow test"}
        try:
            response = await self._client.post(f"/admin/parts/{part_id}/stock/adjust", json=body)
        except httpx.TransportError:
            return None
        return response if response.is_success else None

    async def firing_alerts(self) -> list[str]:
        """Return the names of the alerts that are firing."""
        response = await self._client.get("/admin/alerts", params={"state": "firing"})
        return [item["name"] for item in self._body(response)["items"]]

    def _body(self, response: httpx.Response) -> dict[str, Any]:
        if not response.is_success:
            self._stack.show_log()
        assert response.is_success, (
            f"{response.request.method} {response.request.url}: {response.status_code} {response.text}"
        )
        return dict(response.json())
