"""The Litestar application: routes, dependencies and error handling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.di import Provide

from edge.http.problems import handle_exception
from edge.http.query_rules import known_parameters
from edge.http.request_body import MAX_BODY_BYTES
from edge.http.request_rules import check_request
from edge.openapi.document import openapi_config
from edge.openapi.page import api_page_asset
from edge.openapi.schemas import complete_schemas
from edge.routes.admin.router import admin_router
from edge.routes.auth.jwks import get_key_set
from edge.routes.auth.sessions import auth_router
from edge.routes.ops.health import check_liveness, check_readiness
from edge.routes.public.router import public_router
from edge.routes.shop import Shop
from edge.routes.write import write_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from litestar.types import ControllerRouterHandler

    from chassis.database import Database
    from chassis.store_state import StoreState
    from edge.audit_dispatch.trail import AuditTrail
    from edge.cache.manager import CacheManager
    from edge.cache.reads import CachedReads
    from edge.http.page_tokens import PageTokens
    from edge.http.revision import RevisionGate
    from edge.identity.assembly import Identity
    from edge.routes.ops.health import Health
    from edge.upstream.clients import Services

API: Final = "/api/v1"
VERSION: Final = "0.2.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredients:
    """Dependencies of the routes, constructed by the composition root."""

    services: Services
    reads: CachedReads
    cache: CacheManager
    gate: RevisionGate
    page_tokens: PageTokens
    identity: Identity
    trail: AuditTrail
    alert_database: Database
    health: Health
    store: StoreState  # of the edge's own database
    key_set: Mapping[str, Any]
    live_routes: Sequence[ControllerRouterHandler] = ()


def build_http_app(ingredients: Ingredients) -> Litestar:
    """Return the application, for the middleware to wrap."""
    identity = ingredients.identity
    api = Router(
        path=API,
        before_request=check_request,
        route_handlers=[public_router, auth_router, admin_router, *ingredients.live_routes],
    )
    app = Litestar(
        route_handlers=[api, check_liveness, check_readiness, get_key_set, api_page_asset],
        dependencies=_dependencies(ingredients),
        exception_handlers={Exception: handle_exception},
        openapi_config=openapi_config(VERSION),
        request_max_body_size=MAX_BODY_BYTES,
        state=State(
            {"authenticator": identity.authenticator, "security_events": identity.events, "store": ingredients.store}
        ),
        logging_config=None,
        middleware=[],
        debug=False,
    )
    # Now and not at the first request for the document, which would block the event loop for 0.3 s.
    complete_schemas(app.openapi_schema)
    app.state["query_parameters"] = known_parameters(app)
    return app


def _dependencies(ingredients: Ingredients) -> dict[str, Provide]:
    given: dict[str, object] = {
        "services": ingredients.services,
        "shop": Shop(ingredients.reads, ingredients.gate, ingredients.cache, ingredients.page_tokens),
        "gate": ingredients.gate,
        "page_tokens": ingredients.page_tokens,
        "accounts": ingredients.identity.accounts,
        "administration": ingredients.identity.administration,
        "registration": ingredients.identity.registration,
        "browsers": ingredients.identity.browsers,
        "events": ingredients.identity.events,
        "trail": ingredients.trail,
        "alert_database": ingredients.alert_database,
        "health": ingredients.health,
        "key_set": ingredients.key_set,
    }
    write = Provide(write_of(ingredients.services, ingredients.cache), sync_to_thread=False)
    return {name: _always(thing) for name, thing in given.items()} | {"write": write}


def _always(thing: object) -> Provide:
    def provide() -> Any:
        return thing

    return Provide(provide, sync_to_thread=False, use_cache=True)
