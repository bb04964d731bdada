"""The composition root: the only place that constructs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from chassis.background import Elected
from chassis.changes.maintenance import LogRetention
from chassis.changes.served_log import ServedLog
from chassis.channels import open_channel
from chassis.database import Database
from chassis.process import serve_until_stopped, start_patiently
from chassis.request_claims import forget_old_claims
from chassis.server import Server
from chassis.tokens import ServiceToken, SigningKey, TokenVerifier
from inventory_svc import changes, tables
from inventory_svc.convert import answers
from inventory_svc.expiry import EXPIRY_LOCK, expire_holds
from inventory_svc.publication import PUBLICATION_LOCK, PublishedParts
from inventory_svc.queries import Queries
from inventory_svc.servicer import InventoryServicer
from inventory_svc.settings import Settings
from inventory_svc.visibility import VisibilityStore
from inventory_svc.writer import Writer
from partstream.inventory.v1 import stock_service_pb2
from partstream.inventory.v1.stock_service_pb2_grpc import add_InventoryServiceServicer_to_server

if TYPE_CHECKING:
    import grpc

log = logging.getLogger(__name__)

PROCESS = "inventory_svc"
SERVICE: str = stock_service_pb2.DESCRIPTOR.services_by_name["InventoryService"].full_name

_CLAIMS_LOCK = (7301, 12)


class App:
    """The service, made and running."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Construct everything on an open database; nothing runs yet."""
        self._settings = settings
        self._database = database
        tables.bind(database.engine)
        queries = Queries(database)
        self._log = ServedLog(
            database,
            settings.database_url,
            "inventory",
            changes.encode,
            changes.watched_keys,
            queries.entity_ids_of,
            LogRetention(settings.log_keep_for, settings.log_keep_bytes),
            window_bytes=settings.log_window_bytes,
        )
        self.feed = self._log.feed
        self.writer = Writer(settings.database_url, on_commit=self._log.committed, handover=self._log.handover)
        self.expiry = Elected(settings.database_url, EXPIRY_LOCK, "reservation expiry")
        self._retention = Elected(settings.database_url, _CLAIMS_LOCK, "request retention")
        self.server = Server(SERVICE, verifier=TokenVerifier(settings.jwks), pack=answers.pack, pings=(database.ping,))
        self._content = _content_channel(settings)
        self.published = PublishedParts(VisibilityStore(database), self._content)
        self._publication = Elected(settings.database_url, PUBLICATION_LOCK, "publication")
        servicer = InventoryServicer(self.writer, queries, self.feed, self.published)
        add_InventoryServiceServicer_to_server(servicer, self.server.grpc_server)
        self._log.add_to(self.server.grpc_server)

    async def start(self) -> None:
        """Load the window, then listen."""
        await self._log.start()
        self.writer.start()
        self.expiry.start(lambda: expire_holds(self._database, self.writer))
        self._retention.start(lambda: forget_old_claims(self._database))
        if self._content is not None:
            self._publication.start(self.published.follow)
        await self.server.start(self._settings.host, self._settings.port)

    async def stop(self) -> None:
        """Drain: streams end with ``DRAINING``, writes that wait are committed, connections closed."""
        await self.expiry.stop()
        await self._retention.stop()
        await self._publication.stop()
        await self.server.stop(self._drain)
        await self._log.stop()
        await self._close_content()
        await self._database.close()

    async def _close_content(self) -> None:
        if self._content is not None:
            await self._content.close()

    async def _drain(self) -> None:
        await self._log.drain()
        await self.writer.stop()


def _content_channel(settings: Settings) -> grpc.aio.Channel | None:
    """The channel to the content service, with the process's own token."""
    if not settings.content_targets or settings.signing_key_file is None:
        log.warning("no content service is configured: nothing new becomes public; set PARTSTREAM_CONTENT_TARGETS")
        return None
    token = ServiceToken(SigningKey.load(settings.signing_key_file), PROCESS)
    return open_channel(settings.content_targets, token=token)


async def start(settings: Settings) -> App:
    """A running app; while the database is away it is tried again and again."""
    return await start_patiently(lambda: _start_once(settings))


async def _start_once(settings: Settings) -> App:
    database = await Database.open(settings.database_url, application_name=PROCESS, max_size=settings.pool_size)
    try:
        app = App(settings, database)
        await app.start()
    except BaseException:
        await database.close()
        raise
    return app


async def serve(settings: Settings) -> int:
    """Run until SIGTERM or SIGINT; answers the exit code."""
    return await serve_until_stopped(PROCESS, settings, lambda: _start_once(settings))
