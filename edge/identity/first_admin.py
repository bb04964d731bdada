"""The first administrator: made when there is no user yet. No default password exists."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.identity.passwords import hash_password
from edge.identity.users import Users

if TYPE_CHECKING:
    from chassis.database import Database

logger = logging.getLogger("edge.identity")


async def ensure_first_admin(database: Database, username: str, password: str) -> None:
    """Create the administrator if there is no user and a password is given."""
    if not password:
        logger.info("no PARTSTREAM_ADMIN_PASSWORD: no administrator is created")
        return
    user = await Users(database).create_first(username, hash_password(password), ["admin"])
    if user is not None:
        logger.info("the first administrator is %s", user.username)
