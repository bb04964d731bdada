"""The composition root: the only place that constructs."""

from __future__ import annotations

from changelog.maintenance import LogRetention
from changelog.served_log import ServedLog
from chassis.background import LeaderElection
from chassis.database import Database, TransactionManager
from chassis.operations import HealthDetails, checked, summarised
from chassis.process import serve_until_stopped, start_with_retry
from chassis.request_claims import forget_old_claims
from chassis.revocation.followed import FollowedRevocations
from chassis.server import Server
from chassis.store_probe import StoreProbe
from chassis.tokens import TokenVerifier
from content_svc import changes
from content_svc.queries import Queries
from content_svc.servicer import MULTI_LINE, ContentServicer
from content_svc.servicer.base import pack
from content_svc.settings import Settings
from content_svc.store.write_transactions import WriteTransactions
from partstream.content.v1 import part_service_pb2
from partstream.content.v1.part_service_pb2_grpc import add_ContentServiceServicer_to_server

PROCESS = "content_svc"
SERVICE: str = part_service_pb2.DESCRIPTOR.services_by_name["ContentService"].full_name

_CLAIMS_LOCK = (7302, 2)


class App:
    """The service and its resources."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Construct everything on an open database; ``start`` runs it."""
        self._settings = settings
        self._database = database
        self._probe = StoreProbe(database)
        self._log = ServedLog(
            database,
            settings.database_url,
            "content",
            changes.encode,
            changes.watched_keys,
            changes.entity_ids_of,
            LogRetention(settings.log_keep_for, settings.log_keep_bytes, settings.follower_hold_for),
            window_bytes=settings.log_window_bytes,
        )
        self.feed = self._log.feed
        self._retention = LeaderElection(settings.database_url, _CLAIMS_LOCK, "request retention")
        self._followed = FollowedRevocations(
            settings.revocation_targets, settings.credential_file, PROCESS.removesuffix("_svc"), settings.grpc_tls
        )
        self.revocations = self._followed.entries
        self.server = Server(
            SERVICE,
            verifier=TokenVerifier(settings.jwks, processes=settings.process_keys),
            revocations=self.revocations,
            pack=pack,
            pings=(database.ping,),
            store=database.state,
            multi_line=MULTI_LINE,
            limits=settings.limits,
        )
        transactions = WriteTransactions(TransactionManager(database), self._log.begin_handoff, self._log.committed)
        servicer = ContentServicer(transactions, Queries(database), self.feed)
        add_ContentServiceServicer_to_server(servicer, self.server.grpc_server)
        self._log.add_to(self.server.grpc_server)

    async def start(self) -> None:
        """Load the window of the change log, then listen."""
        await self._log.start()
        self._probe.start()
        self._retention.start(lambda: forget_old_claims(self._database))
        self._followed.start()
        settings = self._settings
        tls = settings.grpc_server_tls
        await self.server.start(settings.host, settings.port, tls, reflection=settings.grpc_reflection)

    async def health(self) -> HealthDetails:
        """Return whether the database responds and accepts writes."""
        return summarised(
            {
                "database": await checked(self._database.ping),
                "writes": await checked(self._database.state.check_writes, required=False),
            }
        )

    async def stop(self) -> None:
        """Drain: streams end with ``DRAINING``, calls finish, connections close."""
        await self._retention.stop()
        await self.server.stop(self._log.drain)
        await self._followed.stop()
        await self._probe.stop()
        await self._log.stop()
        await self._database.close()


async def start(settings: Settings) -> App:
    """Return the running app; retry while the database is unavailable."""
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
