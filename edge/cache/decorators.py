"""For routes: keep a rendered answer by role and permission, and let a write be seen at once in this process."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from edge.http.request_context import current_request_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from edge.cache.manager import CacheManager

P = ParamSpec("P")
AnswerT = TypeVar("AnswerT")


def audience(permissions: Iterable[str]) -> str:
    """Which of these permissions the caller holds: callers who hold the same ones may share an answer."""
    caller = current_request_context().caller
    return ",".join(sorted(permission for permission in permissions if caller.may(permission)))


def cache_response(
    *, name: str, version: int = 1, permissions: tuple[str, ...] = (), depends_on: Callable[..., Iterable[object]]
) -> Callable[[Callable[P, AnswerT]], Callable[P, AnswerT]]:
    """Render once per view, audience and versions.

    Decorates a function that renders and takes the ``CacheManager`` as ``cache``. ``depends_on(**arguments)`` names the
    versions and parameters that the rendering depends on, so an answer that is kept can never be wrong. ``version`` is
    raised when the rendering changes; two releases then never share an answer.
    """

    def decorate(render: Callable[P, AnswerT]) -> Callable[P, AnswerT]:
        @functools.wraps(render)
        def answered(*args: P.args, **kwargs: P.kwargs) -> AnswerT:
            cache: Any = kwargs["cache"]
            facts = "\x1f".join(str(fact) for fact in depends_on(**kwargs))
            ident = f"{name}\x1f{version}\x1f{audience(permissions)}\x1f{facts}"
            manager: CacheManager = cache
            return manager.body(ident, lambda: render(*args, **kwargs))

        return answered

    return decorate


def cache_invalidate(
    *, names: Callable[[AnswerT], Iterable[str]]
) -> Callable[[Callable[P, Awaitable[AnswerT]]], Callable[P, Awaitable[AnswerT]]]:
    """After a write: raise the invalidation floor of what it changed, in this process.

    Decorates a call that takes the ``CacheManager`` as ``cache`` and returns the response of a service. The log would
    raise the floor some milliseconds later; until then readers without a revision token could get the old state.
    ``names(response)`` returns the names of what was written.
    """

    def decorate(call: Callable[P, Awaitable[AnswerT]]) -> Callable[P, Awaitable[AnswerT]]:
        @functools.wraps(call)
        async def called(*args: P.args, **kwargs: P.kwargs) -> AnswerT:
            response = await call(*args, **kwargs)
            cache: Any = kwargs["cache"]
            manager: CacheManager = cache
            written: Any = response
            manager.expect(names(response), written.revision_token)
            return response

        return called

    return decorate
