"""Claims of request ids by principal."""

from chassis.migrate import scripts
from content_svc.sql.schema_claims import CLAIMS_BY_PRINCIPAL

ID = "2026-11-28T21:30:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "claims of request ids by principal"

forwards = scripts(ID, "content", DESCRIPTION, CLAIMS_BY_PRINCIPAL)
