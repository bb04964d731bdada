"""Decorators for routes: reuse a rendered body, and make a write visible at once in this process."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

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
    *, names: Callable[[ResultT], Iterable[str]]
) -> Callable[[Callable[P, Awaitable[ResultT]]], Callable[P, Awaitable[ResultT]]]:
    """After a write: raise the invalidation floor of what it changed, in this process.

    Decorates a call that takes the ``CacheManager`` as ``cache`` and returns the response of a service. The log would
    raise the floor some milliseconds later; until then readers without a revision token could get the old state.
    ``names(response)`` returns the names of what was written.
    """

    def decorate(call: Callable[P, Awaitable[ResultT]]) -> Callable[P, Awaitable[ResultT]]:
        @functools.wraps(call)
        async def called(*args: P.args, **kwargs: P.kwargs) -> ResultT:
            response = await call(*args, **kwargs)
            cache: Any = kwargs["cache"]
            manager: CacheManager = cache
            written: Any = response
            manager.expect(names(response), written.revision_token)
            return response

        return called

    return decorate
