"""Announce the removal of a route: `Deprecation` (RFC 9745), `Sunset` (RFC 8594), one log line per client and day."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any, Final

from cachetools import LRUCache

from edge.http.request_context import current_request_context

if TYPE_CHECKING:
    from litestar import Response

log = logging.getLogger(__name__)

_MAX_CLIENTS: Final = 1000  # remembered for the log; a client that is evicted is logged again


def deprecated(since: datetime, *, link: str, sunset: datetime | None = None) -> dict[str, Any]:
    """Return the arguments of a route decorator that deprecate it: ``@get("/old", **deprecated(…))``.

    ``link`` is the documentation of the replacement; ``sunset`` the time of the removal, once it is decided.
    """
    headers = {"Deprecation": f"@{int(since.timestamp())}", "Link": f'<{link}>; rel="deprecation"'}
    if sunset is not None:
        headers["Sunset"] = format_datetime(sunset.astimezone(UTC), usegmt=True)
    logged: LRUCache[str, str] = LRUCache(_MAX_CLIENTS)

    def announce(response: Response[Any]) -> Response[Any]:
        response.headers.update(headers)
        context = current_request_context()
        today = datetime.now(UTC).date().isoformat()
        if logged.get(context.client_ip) != today:
            logged[context.client_ip] = today
            log.info("deprecated route used", extra={"route": context.route, "client_ip": context.client_ip})
        return response

    return {"deprecated": True, "after_request": announce}
