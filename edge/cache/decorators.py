"""Decorators for routes: reuse a rendered body, and make a write visible at once in this process."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from edge.http.request_context import current_request_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from edge.cache.manager import CacheManager

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def cache_response(
    *, name: str, depends_on: Callable[..., Iterable[object]]
) -> Callable[[Callable[P, ResultT]], Callable[P, ResultT]]:
    """Render once for each set of versions and parameters.

    The decorated function renders and takes the ``CacheManager`` as ``cache``. ``depends_on(**arguments)`` returns the
    versions and parameters that the rendering depends on, so a stored body can never be wrong.
    """

    def decorate(render: Callable[P, ResultT]) -> Callable[P, ResultT]:
        @functools.wraps(render)
        def cached(*args: P.args, **kwargs: P.kwargs) -> ResultT:
            cache: Any = kwargs["cache"]
            facts = "\x1f".join(str(fact) for fact in depends_on(**kwargs))
            ident = f"{name}\x1f{facts}"
            manager: CacheManager = cache
            return manager.body(ident, lambda: render(*args, **kwargs))

        return cached

    return decorate


def cache_invalidate(
    *, part_id: Callable[..., str]
) -> Callable[[Callable[P, Awaitable[ResultT]]], Callable[P, Awaitable[ResultT]]]:
    """Show nothing older than a write of a part in this process.

    The decorated handler takes the ``CacheManager`` as ``cache``. The log applies the write some milliseconds later;
    this closes that window for readers without a revision token. ``part_id(**arguments)`` returns the part.
    """

    def decorate(handle: Callable[P, Awaitable[ResultT]]) -> Callable[P, Awaitable[ResultT]]:
        @functools.wraps(handle)
        async def invalidating(*args: P.args, **kwargs: P.kwargs) -> ResultT:
            result = await handle(*args, **kwargs)
            cache: Any = kwargs["cache"]
            manager: CacheManager = cache
            for token in current_request_context().revisions:
                manager.expect(part_id(**kwargs), token)
            return result

        return invalidating

    return decorate
