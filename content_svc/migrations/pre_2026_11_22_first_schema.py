"""The first schema: tables, rules, triggers and the change log."""

from changelog.schema import CHANGE_LOG
from chassis.migrate import scripts
from content_svc.sql.schema_category import CATEGORY
from content_svc.sql.schema_context import CONTEXT
from content_svc.sql.schema_part import PART
from content_svc.sql.schema_tables import TABLES

ID = "2026-11-22T12:00:00:000000"
VERSION = "1.38.0"
DESCRIPTION = "parts, categories, pictures, versions and the change log"

forwards = scripts(ID, "content", DESCRIPTION, CHANGE_LOG, *TABLES, *CONTEXT, *CATEGORY, *PART)
