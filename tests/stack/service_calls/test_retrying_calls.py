"""Calls that outlast a service that is away."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from chassis.errors import NotFound, PartstreamError, StoreUnavailable
from chassis.interceptor import CallInterceptor
from chassis.revocation.listing import RevocationList
from chassis.tokens import TokenVerifier
from partstream.inventory.v1 import stock_service_pb2
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from stack.servers.ports import free_port
from stack.service_calls.retrying_calls import RetriesExhausted, RetryingCalls

REQUEST = stock_service_pb2.GetStockRequest(part_id="A")


class Inventory:
    """Refuses a number of times, then answers."""

    def __init__(self, *refusals: PartstreamError) -> None:
        self.refusals = list(refusals)
        self.asked = 0

    async def get_stock(self, _request: object, _context: object) -> stock_service_pb2.GetStockResponse:
        """Refuse or answer."""
        self.asked += 1
        if self.refusals:
            raise self.refusals.pop(0)
        return stock_service_pb2.GetStockResponse(revision_token=str(self.asked))

    def handler(self) -> grpc.GenericRpcHandler:
        """Return what a server needs to offer the one method."""
        method = grpc.unary_unary_rpc_method_handler(
            self.get_stock,
            request_deserializer=stock_service_pb2.GetStockRequest.FromString,
            response_serializer=stock_service_pb2.GetStockResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler("partstream.inventory.v1.InventoryService", {"GetStock": method})


@asynccontextmanager
async def serving(inventory: Inventory, port: int) -> AsyncIterator[None]:
    server = grpc.aio.server(
        interceptors=[CallInterceptor(TokenVerifier("/nonexistent"), lambda _: None, RevocationList(followed=False))]
    )
    server.add_generic_rpc_handlers((inventory.handler(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    yield
    await server.stop(None)


async def test_a_request_is_retried_until_there_is_a_response() -> None:
    inventory, port = Inventory(StoreUnavailable("away"), StoreUnavailable("away")), free_port()
    calls = RetryingCalls(retry_seconds=20)
    async with serving(inventory, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        response = await calls(InventoryServiceStub(channel).GetStock, REQUEST)

    assert (response.revision_token, calls.repeats) == ("3", 2)


async def test_a_refusal_is_raised_at_once() -> None:
    inventory, port = Inventory(NotFound("no such part", reason="PART_NOT_FOUND")), free_port()
    calls = RetryingCalls(retry_seconds=20)
    async with serving(inventory, port), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(NotFound):
            await calls(InventoryServiceStub(channel).GetStock, REQUEST)

    assert inventory.asked == 1


async def test_retries_end_when_there_is_no_response() -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{free_port()}") as channel:
        calls = RetryingCalls(retry_seconds=0.2)

        with pytest.raises(RetriesExhausted, match="Run the same command again"):
            await calls(InventoryServiceStub(channel).GetStock, REQUEST)

    assert calls.repeats > 0
