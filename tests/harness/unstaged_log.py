"""A log as it was before the entries of raw SQL were staged."""

from stack.checkout import ROOT

_GUARDS = (ROOT / "inventory_svc" / "migrations" / "pre_0005_guarded_log.sql").read_text()
_APPEND = "CREATE OR REPLACE FUNCTION change_log_append"

# Run as the owner; the migration that stages entries then counts as not yet run.
_UNDO = """
DROP TABLE change_log_staged;
DROP FUNCTION change_log_staged_is_complete();
DROP FUNCTION change_log_write_staged();
DROP FUNCTION change_log_open();
DROP FUNCTION change_log_begin_direct();
DROP FUNCTION change_log_stage;
DROP AGGREGATE change_log_chain(bytea, text, bytea);
DROP FUNCTION change_log_chain_step;
DELETE FROM migration WHERE name IN ('2026-11-29T00:10:00:000010', '2026-11-29T00:10:00:000008');
"""
UNSTAGE = _APPEND + _GUARDS.partition(_APPEND)[2].partition("$$;")[0] + "$$;" + _UNDO
