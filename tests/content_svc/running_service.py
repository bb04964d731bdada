"""A running content service and its clients."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import pytest

from chassis.channels import open_channel
from chassis.errors import PartstreamError
from chassis.rich_status import from_rpc_error
from chassis.tokens import SERVICE_PERMISSIONS, SigningKey
from content_svc.app import App
from partstream.content.v1 import part_change_pb2, part_pb2
from partstream.content.v1 import part_service_pb2 as pb
from partstream.content.v1.part_service_pb2_grpc import ContentServiceStub

if TYPE_CHECKING:
    from partstream.content.v1.part_service_pb2_grpc import ContentServiceAsyncStub

USER_ID = "11111111-2222-3333-4444-555555555555"


@dataclass
class Watching:
    """An open watch."""

    call: grpc.aio.UnaryStreamCall[pb.WatchPartsRequest, pb.WatchPartsResponse]
    cursor: str = ""
    seen: list[part_change_pb2.PartChange] = field(default_factory=list)

    async def next_message(self) -> pb.WatchPartsResponse:
        """Return the next message: changes or a bookmark."""
        message = await self.call.read()
        assert isinstance(message, pb.WatchPartsResponse)
        self.cursor = message.cursor
        self.seen.extend(message.changes)
        return message

    async def changes(self, count: int) -> list[part_change_pb2.PartChange]:
        """Return the next changes, however they are split into messages."""
        taken: list[part_change_pb2.PartChange] = []
        while len(taken) < count:
            taken.extend((await self.next_message()).changes)
        assert len(taken) == count
        return taken


class RunningService:
    """The service, its key, and a client for each kind of caller."""

    def __init__(self, app: App, key: SigningKey, dsn: str) -> None:
        self.app = app
        self.key = key
        self.dsn = dsn
        self._channels: list[grpc.aio.Channel] = []
        self.staff = self.client("alice", SERVICE_PERMISSIONS)
        self.public = self.client()

    def client(
        self, username: str = "", permissions: Iterable[str] = (), user_id: str = USER_ID
    ) -> ContentServiceAsyncStub:
        """Return a client with these permissions; without a name, one without a token."""
        token: Callable[[], str] | None = None
        if username:
            minted = self.key.mint(subject=user_id, name=username, permissions=permissions)
            token = lambda: minted  # noqa: E731
        channel = open_channel([f"127.0.0.1:{self.app.server.port}"], token=token)
        self._channels.append(channel)
        return ContentServiceStub(channel)

    async def close(self) -> None:
        """Close the clients."""
        for channel in self._channels:
            await channel.close()

    async def add_category(self, category_id: str, name: str, parent_id: str = "", position: int = 0) -> str:
        """Create a category; return its id."""
        category = part_pb2.Category(category_id=category_id, name=name, parent_id=parent_id, position=position)
        await self.staff.CreateCategory(pb.CreateCategoryRequest(category=category))
        return category_id

    async def add_part(self, part: part_pb2.Part) -> part_pb2.Part:
        """Create a part; return it as stored."""
        response = await self.staff.CreatePart(pb.CreatePartRequest(part=part))
        return response.part

    async def update(self, part: part_pb2.Part, *paths: str, expected_version: int) -> part_pb2.Part:
        """Update some fields; return the part as stored."""
        request = pb.UpdatePartRequest(part=part, expected_version=expected_version)
        request.update_mask.paths.extend(paths)
        response = await self.staff.UpdatePart(request)
        return response.part

    @asynccontextmanager
    async def watching(
        self, *, cursor: str = "", part_ids: Iterable[str] = (), staff: bool = True
    ) -> AsyncIterator[Watching]:
        """Open a watch and read its first bookmark. Without a cursor, it starts at the present revision."""
        stub = self.staff if staff else self.public
        cursor = cursor or (await stub.ListCategories(pb.ListCategoriesRequest())).revision_token
        call = stub.WatchParts(pb.WatchPartsRequest(cursor=cursor, part_ids=part_ids))
        watching = Watching(call)
        await watching.next_message()
        try:
            yield watching
        finally:
            call.cancel()


@asynccontextmanager
async def rejected(kind: type[PartstreamError]) -> AsyncIterator[list[PartstreamError]]:
    """Expect a call to be rejected; the list holds the error afterwards."""
    found: list[PartstreamError] = []
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield found
    error = from_rpc_error(caught.value)
    assert error.reason == kind.reason, error
    found.append(error)


def resistor(part_id: str = "R1", **fields: object) -> part_pb2.Part:
    """Return a published part of the category ``resistors``."""
    values: dict[str, object] = {
        "category_id": "resistors",
        "title": "Resistor 10 kΩ",
        "status": part_pb2.PART_STATUS_PUBLISHED,
    }
    specifications = fields.pop("specifications", {})
    part = part_pb2.Part(part_id=part_id, **(values | fields))  # type: ignore[arg-type]
    part.specifications.update(specifications)  # type: ignore[arg-type]
    return part


def new_id() -> str:
    """Return a request id."""
    return str(uuid.uuid4())
