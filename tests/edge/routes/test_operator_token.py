"""An operator token at a service, over gRPC."""

from typing import Any

from chassis.channels import open_channel
from chassis.errors import PermissionMissing
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from tests.edge.identity.operator_command import OperatorCommand
from tests.inventory_svc.running import refusal


async def test_role_restricts_a_token_at_a_service_too(operator: OperatorCommand, targets: tuple[str, str]) -> None:
    whole = (await operator("token")).last_line
    restricted = (await operator("token", "--role", "support")).last_line
    request = pb.SetStockRequest(part_id="LED-5MM-RED", location_id="main", on_hand=3, expected_version=0)
    writer = open_channel([targets[0]], token=lambda: whole)
    reader = open_channel([targets[0]], token=lambda: restricted)
    staff: Any = InventoryServiceStub(writer)
    support: Any = InventoryServiceStub(reader)

    async with writer, reader:
        rejected = await refusal(support.SetStock(request))
        written = await staff.SetStock(request)
        read = await support.GetStock(pb.GetStockRequest(part_id="LED-5MM-RED"))

    assert isinstance(rejected, PermissionMissing)
    assert rejected.metadata["permission"] == "stock:write"
    assert written.level.on_hand == 3
    assert read.stock.levels[0].on_hand == 3
