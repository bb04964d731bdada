"""Search folds Unicode forms: what looks alike is found alike."""

from chassis.migrate import scripts
from content_svc.sql.schema_search import FOLDED_SEARCH

ID = "2026-11-29T00:30:00:000010"
VERSION = "1.38.0"
DESCRIPTION = "search folds Unicode forms"

forwards = scripts(ID, "content", DESCRIPTION, FOLDED_SEARCH)
