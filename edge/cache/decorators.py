"""For routes: keep a rendered answer by role and permission, and let a write be seen at once in this process."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from edge.http.request_context import current_request_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from edge.cache.manager import CacheManager

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def audience(permissions: Iterable[str]) -> str:
    """Which of these permissions the caller holds: callers who hold the same ones may share an answer."""
    caller = current_request_context().caller
    return ",".join(sorted(permission for permission in permissions if caller.may(permission)))


def cache_response(
    *, name: str, version: int = 1, permissions: tuple[str, ...] = (), depends_on: Callable[..., Iterable[object]]
) -> Callable[[Callable[P, ResultT]], Callable[P, ResultT]]:
    """Render once per view, audience and versions.

    Decorates a function that renders and takes the ``CacheManager`` as ``cache``. ``depends_on(**arguments)`` names the
    versions and parameters that the rendering depends on, so an answer that is kept can never be wrong. ``version`` is
    raised when the rendering changes; two releases then never share an answer.
    """

    def decorate(render: Callable[P, ResultT]) -> Callable[P, ResultT]:
        @functools.wraps(render)
        def cached(*args: P.args, **kwargs: P.kwargs) -> ResultT:
            cache: Any = kwargs["cache"]
            facts = "\x1f".join(str(fact) for fact in depends_on(**kwargs))
            ident = f"{name}\x1f{version}\x1f{audience(permissions)}\x1f{facts}"
            manager: CacheManager = cache
            return manager.body(ident, lambda: render(*args, **kwargs))

        return cached

    return decorate


def cache_invalidate(
    *, part_id: Callable[..., str]
) -> Callable[[Callable[P, Awaitable[ResultT]]], Callable[P, Awaitable[ResultT]]]:
    """After a write: show nothing older of the part in this process.

    Decorates a handler that takes the ``CacheManager`` as ``cache``. The log would do it some milliseconds later; this
    closes that window for readers who bring no token. ``part_id(**arguments)`` names the part.
    """

    def decorate(handle: Callable[P, Awaitable[ResultT]]) -> Callable[P, Awaitable[ResultT]]:
        @functools.wraps(handle)
        async def invalidating(*args: P.args, **kwargs: P.kwargs) -> ResultT:
            answer = await handle(*args, **kwargs)
            cache: Any = kwargs["cache"]
            manager: CacheManager = cache
            for token in current_request_context().revisions:
                manager.expect(part_id(**kwargs), token)
            return answer

        return invalidating

    return decorate
