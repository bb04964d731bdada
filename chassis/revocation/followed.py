"""The revocations of a service as its settings say: followed from the edges, or explicitly not known at all."""

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
    """A list of revocations and what keeps it up to date."""

    def __init__(
        self,
        targets: Sequence[str] | None,
        credential: Path | None,
        process: str,
        tls: ClientTls | None = None,
    ) -> None:
        """``targets`` are the edges; ``None`` is for a service that is run without any. ``SettingsError`` otherwise."""
        self.entries = RevocationList(followed=targets is not None)
        self._follower: RevocationFollower | None = None
        if targets is None:
            log.warning("no source of revocations: revoked tokens count until they expire")
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
