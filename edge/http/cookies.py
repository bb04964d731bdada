"""The session cookie: its name and attributes follow the scheme by which the browser reached the edge.

Over https the ``__Host-`` prefix keeps a page of another subdomain, or of plain http, from planting a cookie here.
"""

from __future__ import annotations

from typing import Final

from litestar.datastructures import Cookie

PLAIN: Final = "partstream_session"
HOST_BOUND: Final = "__Host-partstream_session"


def name_of(*, secure: bool) -> str:
    """Return the cookie's name; that of the other scheme is ignored."""
    return HOST_BOUND if secure else PLAIN


def session_cookie(value: str, *, secure: bool, max_age: int) -> Cookie:
    """Return the cookie of a session; it ends after ``max_age`` seconds."""
    return Cookie(
        key=name_of(secure=secure),
        value=value,
        path="/" if secure else "/api/v1",
        max_age=max_age,
        secure=secure,
        httponly=True,
        samesite="lax",
    )


def cleared(*, secure: bool) -> Cookie:
    """Return the cookie that removes the session's cookie."""
    return session_cookie("", secure=secure, max_age=0)
