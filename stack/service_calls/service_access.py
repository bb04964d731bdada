"""Addresses of the services and the credential of the commands: from the environment, else from the running stack."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chassis.channels import open_channel
from chassis.settings import SettingsError, declared, file, setting, targets
from chassis.settings import load as load_settings
from chassis.tls import GrpcClientSettings
from chassis.tokens import ServiceToken, SigningKey
from partstream.content.v1.part_service_pb2_grpc import ContentServiceStub
from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceStub
from stack import stack_state
from stack.errors import SettingsRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from partstream.content.v1.part_service_pb2_grpc import ContentServiceAsyncStub
    from partstream.inventory.v1.stock_service_pb2_grpc import InventoryServiceAsyncStub


@dataclass(frozen=True, slots=True)
class ServiceSettings(GrpcClientSettings):
    """Settings of a command that calls the services."""

    inventory: tuple[str, ...] = setting(
        "PARTSTREAM_INVENTORY_TARGETS", targets, help="addresses of the inventory services, host:port, …"
    )
    content: tuple[str, ...] = setting(
        "PARTSTREAM_CONTENT_TARGETS", targets, help="addresses of the content services, host:port, …"
    )
    credential: Path = setting(
        "PARTSTREAM_CREDENTIAL_FILE", file, help="private key with which a command signs its tokens"
    )


@dataclass(frozen=True, slots=True)
class Services:
    """Stubs that send the token of the command."""

    inventory: InventoryServiceAsyncStub
    content: ContentServiceAsyncStub


def service_settings(data_folder: Path) -> ServiceSettings:
    """Return the settings: from the environment where it has them, the rest from the stack that runs on `data_folder`.

    Raises StackNotRunning when a setting is missing and no stack runs there, SettingsRefused when one is invalid.
    """
    wanted = ("PARTSTREAM_INVENTORY_TARGETS", "PARTSTREAM_CONTENT_TARGETS", "PARTSTREAM_CREDENTIAL_FILE")
    given = {name: os.environ[name] for name in wanted if os.environ.get(name)}
    if len(given) < len(wanted):
        given = {**stack_state.read_running(data_folder).settings, **given}
    tls = {found.name for found, _ in declared(GrpcClientSettings)}
    given |= {name: os.environ[name] for name in tls if os.environ.get(name)}
    try:
        settings = load_settings(ServiceSettings, given)
        SigningKey.load(settings.credential)
    except SettingsError as fault:
        raise SettingsRefused(str(fault)) from fault
    except (OSError, ValueError) as fault:
        message = f"PARTSTREAM_CREDENTIAL_FILE is wrong: {given['PARTSTREAM_CREDENTIAL_FILE']}: {fault}"
        raise SettingsRefused(message) from fault
    return settings


@contextlib.asynccontextmanager
async def open_services(settings: ServiceSettings, name: str) -> AsyncIterator[Services]:
    """Open both services as the service account `name`, which the ledger and the audit trail record."""
    token = ServiceToken(settings.credential, name)
    async with (
        open_channel(settings.inventory, token=token, tls=settings.grpc_tls) as inventory,
        open_channel(settings.content, token=token, tls=settings.grpc_tls) as content,
    ):
        yield Services(InventoryServiceStub(inventory), ContentServiceStub(content))
