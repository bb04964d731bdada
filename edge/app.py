"""Composition root of the edge: the only place that constructs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from changelog.sources import PartSource, StockSource
from chassis.addresses import joined
from chassis.background import BackgroundService
from chassis.channels import open_channel
from chassis.database import Database
from chassis.operations import HealthDetails
from chassis.process import serve_until_stopped, start_with_retry
from chassis.rates import Quotas
from chassis.revocation.listing import RevocationList
from chassis.store_probe import StoreProbe
from chassis.tokens import ServiceToken, SigningKey, TokenVerifier
from edge.alerts import ConditionAlerts, RetentionWatch
from edge.audit_dispatch.dispatcher import Dispatcher
from edge.audit_dispatch.reporting import FOLLOWER
from edge.audit_dispatch.trail import WAIT_SECONDS, AuditTrail, AuditWatch
from edge.cache.keys import LOGS
from edge.follow import Following
from edge.http.connections import PER_ADDRESS, ConnectionLimiter
from edge.http.idle_connections import IdleConnections
from edge.http.limits.limiter import RateLimiter
from edge.http.limits.shared_counts import SharedCounts
from edge.http.methods import allowed_methods, socket_paths
from edge.http.middleware import EdgeMiddleware
from edge.http.origins import Origins
from edge.http.page_tokens import PageTokens
from edge.http.revision import RevisionGate
from edge.http.server import HttpServer, capacity
from edge.identity.assembly import assemble_identity
from edge.identity.revocation_feed import RevocationFeed
from edge.live.limits import live_limits
from edge.live.socket import LiveEndpoint, live_route
from edge.revocation_service import build_revocation_server
from edge.routes.application import Ingredients, build_http_app
from edge.routes.ops.health import Check, FollowerPing, Health, RedisPing
from edge.upstream.clients import CONTENT, INVENTORY, Services
from edge.upstream.replicas import Replicas
from tasks.alerts.redis_content import quarantine_report
from tasks.alerts.reporter import Alerts
from tasks.jobs import JobQueue

if TYPE_CHECKING:
    import grpc
    from litestar import Litestar

    from changelog.follower import ChangeSource
    from edge.identity.assembly import Identity
    from edge.settings import EdgeSettings

STATEMENT_SECONDS = 5.0  # no request waits longer for a sign-in or a page of the audit trail

log = logging.getLogger("edge")


async def serve(settings: EdgeSettings) -> int:
    """Run one edge until SIGTERM or SIGINT, then stop everything in order; return the exit code."""
    scheme = "http" if settings.http_tls is None else "https"
    return await serve_until_stopped(
        "edge",
        settings,
        lambda: _start(settings),
        listener=lambda running: running.listener,
        address=f"{scheme}://{joined(settings.host, settings.port)}",
    )


@dataclass(frozen=True, slots=True)
class _RunningEdge:
    edge: Edge
    listener: asyncio.Task[None]
    resources: contextlib.AsyncExitStack

    async def health(self) -> HealthDetails:
        """Return whether the edge can serve."""
        return await self.edge.health.readiness()

    async def stop(self) -> None:
        """Drain, then close all resources."""
        async with self.resources:
            await self.edge.drain()


async def _start(settings: EdgeSettings) -> _RunningEdge:
    async with contextlib.AsyncExitStack() as stack:
        database = await _open(settings.database_url, "partstream-edge")
        stack.push_async_callback(database.close)
        trail = await _open(settings.audit_database_url, "partstream-trail")
        stack.push_async_callback(trail.close)
        edge = Edge(settings, database, trail)
        stack.push_async_callback(edge.close)
        tls = settings.grpc_server_tls
        await edge.revocation_server.start(
            settings.grpc_host, settings.identity_port, tls, reflection=settings.grpc_reflection
        )
        edge.start()
        listener = edge.server.start()
        await edge.server.until_listening()
        return _RunningEdge(edge, listener, stack.pop_all())


class Edge:
    """One edge and all its parts."""

    def __init__(self, settings: EdgeSettings, database: Database, trail: Database) -> None:
        """Construct; nothing runs before ``start``."""
        self.alerts = Alerts("edge", settings.database_url)
        key = SigningKey.load(settings.signing_key_file)
        own_token = ServiceToken(settings.credential_file, "edge")
        self._channels = _open_channels(settings, own_token)
        self.inventory = Replicas("inventory", INVENTORY, settings.inventory_targets, tls=settings.grpc_tls)
        self.content = Replicas("content", CONTENT, settings.content_targets, tls=settings.grpc_tls)
        self.services = Services(self.inventory, self.content, own_token)
        self.following = self._build_following(settings)
        self.gate = RevisionGate(self.following.followers, lambda: self.services.newest)
        self.health = Health(self._checks(settings, database, trail))
        self.revocations = RevocationFeed(settings.database_url, RevocationList())
        self.revocation_server = build_revocation_server(
            self.revocations, TokenVerifier(settings.jwks, processes=settings.process_keys)
        )
        identity = assemble_identity(
            database,
            key,
            TokenVerifier(settings.jwks),
            self.revocations,
            registration_open=settings.registration == "on",
            keep_events_for=settings.keep_security_events_for,
        )
        self._background: list[BackgroundService] = [
            identity.upkeep,
            StoreProbe(database),
            StoreProbe(trail),
            ConditionAlerts(self.alerts, (database.state, trail.state), (self.inventory, self.content)),
        ]
        self._repeated_events = identity.events.repeated
        app = self._build_app(settings, database, trail, key, identity)
        quotas = Quotas(settings.limits)
        self._shared_counts = None if settings.redis_url is None else SharedCounts(settings.redis_url, quotas)
        self.asgi, idle = _middleware(settings, app, self.gate, RateLimiter(quotas, identity.authenticator))
        self._background.append(idle)
        self.server = HttpServer(
            self.asgi, settings.host, settings.port, settings.http_tls, head_seconds=settings.request_head_seconds
        )
        self._jobs = None if settings.redis_url is None else JobQueue.open(settings.redis_url, self.alerts)
        self._dispatcher = self._build_dispatcher(settings, trail)
        self._background += self._build_watches(settings, trail)

    def _build_app(
        self, settings: EdgeSettings, database: Database, trail: Database, key: SigningKey, identity: Identity
    ) -> Litestar:
        live = LiveEndpoint(
            self.following.publisher,
            self.following.tree,
            identity.authenticator,
            self.revocations.entries,
            allowed_origins=settings.allowed_origins,
            limits=live_limits(settings.limits),
        )
        return build_http_app(
            Ingredients(
                services=self.services,
                reads=self.following.reads,
                cache=self.following.cache,
                gate=self.gate,
                page_tokens=PageTokens(key.pem()),
                identity=identity,
                alert_database=database,
                trail=AuditTrail(trail, wait_seconds=WAIT_SECONDS if settings.redis_url else 0.0),
                health=self.health,
                store=database.state,
                key_set=key.jwks(),
                live_routes=[live_route(live)],
            )
        )

    def _build_following(self, settings: EdgeSettings) -> Following:
        def sources(use: str) -> dict[str, ChangeSource]:
            return {
                "inventory": StockSource(self._channels[f"inventory-{use}"]),
                "content": PartSource(self._channels[f"content-{use}"]),
            }

        return Following(
            self.services,
            sources("watch"),
            sources("shared"),
            redis_url=settings.redis_url,
            database_url=settings.database_url,
            on_quarantine=quarantine_report(self.alerts, "cache"),
        )

    def _build_watches(self, settings: EdgeSettings, trail: Database) -> list[BackgroundService]:
        watches: list[BackgroundService] = [RetentionWatch(self.services, self.alerts)]
        if settings.redis_url is not None:  # without Redis the trail always waits: no alert
            watches.append(AuditWatch(trail.pool, self.following.memory.position, LOGS, self.alerts))
        return watches

    def _build_dispatcher(self, settings: EdgeSettings, trail: Database) -> Dispatcher | None:
        if self._jobs is None:
            log.warning("no Redis: audit jobs are not sent, the audit trail waits until there is one")
            return None
        sources = [
            StockSource(self._channels["inventory-dispatch"], FOLLOWER),
            PartSource(self._channels["content-dispatch"], FOLLOWER),
        ]
        return Dispatcher(settings.audit_database_url, trail.pool, sources, self._jobs)

    def start(self) -> None:
        """Start the background work."""
        self.alerts.start()
        self.inventory.start()
        self.content.start()
        self.revocations.start()
        self.following.start()
        for service in self._background:
            service.start()
        self._repeated_events.start()
        if self._shared_counts is not None:
            self._shared_counts.start()
        if self._dispatcher is not None:
            self._dispatcher.start()

    async def drain(self) -> None:
        """Report not ready, close live connections, finish requests."""
        self.health.draining = True
        if self._dispatcher is not None:
            await self._dispatcher.stop()
        self.revocations.drain()
        await self.following.drain()
        await self.server.stop()

    async def close(self) -> None:
        """Stop the background work and close the connections."""
        for service in self._background:
            await service.stop()
        await self._repeated_events.close()
        if self._shared_counts is not None:
            await self._shared_counts.close()
        await self.revocations.stop()
        await self.revocation_server.stop()
        await self.following.stop()
        await self.alerts.stop()
        if self._jobs is not None:
            self._jobs.close()
        await asyncio.gather(self.inventory.close(), self.content.close())
        await asyncio.gather(*(channel.close() for channel in self._channels.values()), return_exceptions=True)

    def _checks(self, settings: EdgeSettings, database: Database, trail: Database) -> list[Check]:
        checks = [
            Check("inventory", self.inventory.check, required=True),
            Check("inventory-replicas", self.inventory.check_each, required=False),
            Check("inventory-writes", self.inventory.check_writes, required=False),
            Check("content", self.content.check, required=True),
            Check("content-replicas", self.content.check_each, required=False),
            Check("content-writes", self.content.check_writes, required=False),
            # Without these the shop works and administration does not.
            Check("database", database.ping, required=False),
            Check("database-writes", database.state.check_writes, required=False),
            Check("audit-database", trail.ping, required=False),
            Check("audit-writes", trail.state.check_writes, required=False),
        ]
        for name, follower in self.following.followers.items():
            checks.append(Check(f"follow-{name}", FollowerPing(follower), required=True))
        if settings.redis_url is not None:
            checks.append(Check("redis", RedisPing(self.following.shared), required=False))
        return checks


def _middleware(
    settings: EdgeSettings, app: Litestar, gate: RevisionGate, limiter: RateLimiter
) -> tuple[EdgeMiddleware, IdleConnections]:
    """Return the middleware around the application, and the service that closes connections it cannot observe."""
    per_address = settings.limits.count("connections_per_address", PER_ADDRESS)
    # Of what the listener accepts, a tenth is for connections between two requests.
    connections = ConnectionLimiter(per_address, total=capacity() * 9 // 10)
    middleware = EdgeMiddleware(
        app,
        position=gate.position,
        max_concurrent=settings.max_concurrent_requests,
        trusted_proxies=settings.trusted_proxies,
        origins=Origins(settings.allowed_origins),
        traces_exported=settings.otel_exporter != "none",
        allowed=allowed_methods(app),
        socket_paths=socket_paths(app),
        limiter=limiter,
        connections=connections,
        body_seconds=settings.request_body_seconds,
    )
    total = capacity() * 19 // 20
    idle = IdleConnections(
        connections, settings.port, per_address=per_address, total=total, is_proxy=middleware.is_trusted
    )
    return middleware, idle


def _open_channels(settings: EdgeSettings, own_token: ServiceToken) -> dict[str, grpc.aio.Channel]:
    """Open a channel for each use of a service's log, so that one that waits does not delay another.

    ``shared`` stops reading while Redis is unavailable, ``dispatch`` while the audit trail is behind.
    """
    channels: dict[str, grpc.aio.Channel] = {}
    for service, targets in (("inventory", settings.inventory_targets), ("content", settings.content_targets)):
        for use in ("watch", "shared", "dispatch"):
            channels[f"{service}-{use}"] = open_channel(targets, token=own_token, tls=settings.grpc_tls)
    return channels


async def _open(dsn: str, name: str) -> Database:
    return await start_with_retry(
        lambda: Database.open(dsn, application_name=name, min_size=1, max_size=10, command_timeout=STATEMENT_SECONDS)
    )
