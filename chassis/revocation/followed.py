"""The revocation list of a service and what keeps it up to date, by its settings."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from chassis.revocation.follower import RevocationFollower
from chassis.revocation.listing import RevocationList
from chassis.settings import SettingsError
from chassis.tokens import ServiceToken

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from chassis.tls import ClientTls

log = logging.getLogger(__name__)


class FollowedRevocations:
    """A revocation list, followed from the edges unless there are none."""

    def __init__(
        self,
        targets: Sequence[str] | None,
        credential: Path | None,
        process: str,
        tls: ClientTls | None = None,
    ) -> None:
        """``targets`` are the edges; ``None`` runs without any. ``SettingsError`` for targets without a credential."""
        self.entries = RevocationList(followed=targets is not None)
        self._follower: RevocationFollower | None = None
        if targets is None:
            log.warning("no source of revocations: revoked tokens are valid until they expire")
            return
        if credential is None:
            raise SettingsError(["PARTSTREAM_CREDENTIAL_FILE is not set: PARTSTREAM_REVOCATION_TARGETS needs it"])
        self._follower = RevocationFollower(targets, ServiceToken(credential, process), self.entries, tls)

    def start(self) -> None:
        """Follow in the background."""
        if self._follower is not None:
            self._follower.start()

    async def stop(self) -> None:
        """Stop following."""
        if self._follower is not None:
            await self._follower.stop()
