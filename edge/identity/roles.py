"""The permissions of each role. The edge checks permissions, and each service checks them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

PERMISSIONS: Final = frozenset(
    {
        "content:read",
        "content:write",
        "content:publish",
        "stock:read",
        "stock:write",
        "reservations:commit",
        "reservations:manage",
        "audit:read",
        "changes:read",
        "followers:write",
        "users:read",
        "users:write",
    }
)

ROLES: Final[dict[str, frozenset[str]]] = {
    "customer": frozenset({"reservations:commit"}),  # of their own reservations
    "support": frozenset({"content:read", "stock:read"}),
    "stock_manager": frozenset(
        {"content:read", "stock:read", "stock:write", "reservations:commit", "reservations:manage"}
    ),
    "content_editor": frozenset({"content:read", "content:write", "content:publish", "stock:read"}),
    "auditor": frozenset({"content:read", "stock:read", "audit:read", "changes:read"}),
    "admin": PERMISSIONS,
    "service": frozenset(
        {
            "content:read",
            "content:write",
            "content:publish",
            "stock:read",
            "stock:write",
            "reservations:commit",
            "reservations:manage",
            "changes:read",
            "followers:write",
            "audit:read",
        }
    ),
}


def permissions_of(roles: Iterable[str]) -> frozenset[str]:
    """Return the permissions of several roles; an unknown role has none."""
    return frozenset().union(*(ROLES.get(role, frozenset()) for role in roles))
