"""Decide whether ``up`` imports the sample; apart from the import, so that other starts do not load its code."""

from pathlib import Path

from grpc.aio import AioRpcError

from chassis.rich_status import from_rpc_error
from partstream.content.v1 import part_service_pb2
from partstream.inventory.v1 import stock_service_pb2
from stack.errors import StartFailed
from stack.service_calls.service_access import ServiceSettings, open_services

SERVICE_NAME = "sample-catalogue"
# Exists while the sample is being imported: the next start resumes an interrupted import.
MARKER = "sample-catalogue.jsonl"
TIMEOUT_SECONDS = 10.0


async def is_wanted(settings: ServiceSettings, data_folder: Path) -> bool:
    """Return whether there is neither a part nor a stock level, or an interrupted import."""
    if (data_folder / MARKER).exists():
        return True
    any_part = part_service_pb2.ListPartsRequest(page_size=1)
    any_level = stock_service_pb2.ListStockRequest(page_size=1, show_archived=True)
    try:
        async with open_services(settings, SERVICE_NAME) as services:
            parts = await services.content.ListParts(any_part, timeout=TIMEOUT_SECONDS)
            levels = await services.inventory.ListStock(any_level, timeout=TIMEOUT_SECONDS)
    except AioRpcError as error:
        message = f"The services could not be asked whether they have parts: {from_rpc_error(error)}"
        raise StartFailed(message) from error
    return not parts.parts and not levels.levels
