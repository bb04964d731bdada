"""The composition root: constructs, connects, starts and stops the parts of the service."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from changelog.maintenance import LogRetention
from changelog.served_log import ServedLog
from chassis.background import LeaderElection
from chassis.channels import open_channel
from chassis.database import Database
from chassis.operations import HealthDetails, checked, summarised
from chassis.process import serve_until_stopped, start_with_retry
from chassis.request_claims import delete_old_claims
from chassis.revocation.followed import FollowedRevocations
from chassis.server import Server
from chassis.store_probe import StoreProbe
from chassis.tokens import ServiceToken, TokenVerifier
from inventory_svc import changes
from inventory_svc.commands.publication import PUBLICATION_LOCK, PublishedParts
from inventory_svc.convert import responses
from inventory_svc.domain.guest_limits import GuestLimits
from inventory_svc.queries import Queries
from inventory_svc.servicer import InventoryServicer
from inventory_svc.settings import Settings
from inventory_svc.store.visibility import VisibilityStore
from inventory_svc.writer.expiry import EXPIRY_LOCK, expire_reservations
from inventory_svc.writer.group_commit import Writer
from partstream.inventory.v1 import stock_service_pb2
from partstream.inventory.v1.stock_service_pb2_grpc import add_InventoryServiceServicer_to_server

if TYPE_CHECKING:
    import grpc

log = logging.getLogger(__name__)

PROCESS = "inventory_svc"
SERVICE: str = stock_service_pb2.DESCRIPTOR.services_by_name["InventoryService"].full_name

_CLAIMS_LOCK = (7301, 12)
_OPEN_PER_ADDRESS = 100  # open reservations of guests; an office shares one address
_RESERVATION_SHARE = 0.5  # of a part, for one guest


class App:
    """The inventory service."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Construct all parts on an open database, without starting them."""
        self._settings = settings
        self._database = database
        queries = Queries(database)
        self._probe = StoreProbe(database)
        self._log = ServedLog(
            database,
            settings.database_url,
            "inventory",
            changes.encode,
            changes.watched_keys,
            queries.entity_ids_of,
            LogRetention(settings.log_keep_for, settings.log_keep_bytes, settings.follower_hold_for),
            window_bytes=settings.log_window_bytes,
            shown_state=changes.shown_state,
        )
        self.feed = self._log.feed
        self.writer = Writer(
            settings.database_url, on_commit=self._log.committed, handoff=self._log.handoff, store=database.state
        )
        self.expiry = LeaderElection(settings.database_url, EXPIRY_LOCK, "reservation expiry")
        self._retention = LeaderElection(settings.database_url, _CLAIMS_LOCK, "request retention")
        self._followed = FollowedRevocations(
            settings.revocation_targets, settings.credential_file, PROCESS.removesuffix("_svc"), settings.grpc_tls
        )
        self.revocations = self._followed.entries
        self.server = Server(
            SERVICE,
            verifier=TokenVerifier(settings.jwks, processes=settings.process_keys),
            revocations=self.revocations,
            pack=responses.pack,
            pings=(database.ping,),
            limits=settings.limits,
            store=database.state,
        )
        self._content = _content_channel(settings)
        self.published = PublishedParts(VisibilityStore(database), self._content)
        self._publication = LeaderElection(settings.database_url, PUBLICATION_LOCK, "publication")
        servicer = InventoryServicer(self.writer, queries, self.feed, self.published, _guest_limits(settings))
        add_InventoryServiceServicer_to_server(servicer, self.server.grpc_server)
        self._log.add_to(self.server.grpc_server)

    async def start(self) -> None:
        """Load the window, start the background tasks, then listen."""
        await self._log.start()
        self._probe.start()
        self.writer.start()
        self.expiry.start(lambda: expire_reservations(self._database, self.writer))
        self._retention.start(lambda: delete_old_claims(self._database))
        if self._content is not None:
            self._publication.start(self.published.follow)
        self._followed.start()
        settings = self._settings
        tls = settings.grpc_server_tls
        await self.server.start(settings.host, settings.port, tls, reflection=settings.grpc_reflection)

    async def health(self) -> HealthDetails:
        """Return whether the database responds, and whether it accepts writes."""
        return summarised(
            {
                "database": await checked(self._database.ping),
                "writes": await checked(self._database.state.check_writes, required=False),
            }
        )

    async def stop(self) -> None:
        """Drain and stop: end streams with ``DRAINING``, commit queued writes, close the connections."""
        await self.expiry.stop()
        await self._retention.stop()
        await self._publication.stop()
        await self.server.stop(self._drain)
        await self._followed.stop()
        await self._probe.stop()
        await self._log.stop()
        await self._close_content()
        await self._database.close()

    async def _close_content(self) -> None:
        if self._content is not None:
            await self._content.close()

    async def _drain(self) -> None:
        await self._log.drain()
        await self.writer.stop()


def _guest_limits(settings: Settings) -> GuestLimits:
    return GuestLimits(
        lines=settings.guest_lines,
        units_per_part=settings.guest_units,
        ttl=timedelta(seconds=settings.guest_ttl_seconds),
        extensions=settings.guest_extensions,
        open_per_cart=settings.guest_open_reservations,
        open_per_address=settings.limits.count("open_reservations_per_address", _OPEN_PER_ADDRESS),
        share=settings.limits.share("reservation_share", _RESERVATION_SHARE),
    )


def _content_channel(settings: Settings) -> grpc.aio.Channel | None:
    """Return the channel to the content service with the credential of this process; ``None`` without targets."""
    if not settings.content_targets or settings.credential_file is None:
        log.warning("content service not configured, no further part becomes public: set PARTSTREAM_CONTENT_TARGETS")
        return None
    token = ServiceToken(settings.credential_file, PROCESS.removesuffix("_svc"))
    return open_channel(settings.content_targets, token=token, tls=settings.grpc_tls)


async def start(settings: Settings) -> App:
    """Return a running app. While the database is unavailable, retry."""
    return await start_with_retry(lambda: _start_once(settings))


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
    """Run until SIGTERM or SIGINT; return the exit code."""
    return await serve_until_stopped(PROCESS, settings, lambda: start(settings))
