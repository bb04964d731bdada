"""Dependencies of handlers, injected by name. They are not validated per request."""

from __future__ import annotations

from typing import TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from edge.audit_dispatch.trail import AuditTrail
from edge.http.page_tokens import PageTokens
from edge.http.revision import RevisionGate
from edge.identity.administration import UserAdministration
from edge.routes.shop import Shop
from edge.upstream.clients import Services

# One for all that a page needs: Litestar resolves several at once in tasks, which costs more than the page itself.
TheShop: TypeAlias = NamedDependency[SkipValidation[Shop]]
TheGate: TypeAlias = NamedDependency[SkipValidation[RevisionGate]]
ThePageTokens: TypeAlias = NamedDependency[SkipValidation[PageTokens]]
TheServices: TypeAlias = NamedDependency[SkipValidation[Services]]
TheAuditTrail: TypeAlias = NamedDependency[SkipValidation[AuditTrail]]
TheUserAdministration: TypeAlias = NamedDependency[SkipValidation[UserAdministration]]
