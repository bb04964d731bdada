"""What handlers are given by name. Nothing here is validated per request: it is ours."""

from __future__ import annotations

from typing import Annotated

from litestar.params import Dependency

from chassis.database import Database
from edge.clients import Services
from edge.identity.accounts import Accounts
from edge.identity.administration import UserAdministration
from edge.page_tokens import PageTokens
from edge.reads import Reads
from edge.revision import RevisionGate

_OURS = Dependency(skip_validation=True)

TheReads = Annotated[Reads, _OURS]
TheGate = Annotated[RevisionGate, _OURS]
ThePageTokens = Annotated[PageTokens, _OURS]
TheServices = Annotated[Services, _OURS]
TheAccounts = Annotated[Accounts, _OURS]
TheAuditTrail = Annotated[Database, _OURS]
TheUserAdministration = Annotated[UserAdministration, _OURS]
