"""A log whose partitions are small from its first entry on, so that a test's few entries fill some of them.

The service's own function changes the size of partitions to come; a migrated database has entries in its first one.
"""

from __future__ import annotations

# Make the partitions anew, in the given size, around the entries there are.
MAKE_SMALL = """
CREATE TEMPORARY TABLE entries_so_far AS SELECT * FROM change_log;
DO $$
DECLARE
    part regclass;
BEGIN
    FOREACH part IN ARRAY ARRAY(SELECT p.partition FROM change_log_partitions() AS p) LOOP
        EXECUTE format('DROP TABLE %s', part);
    END LOOP;
END $$;
UPDATE change_log_identity SET partition_revisions = {revisions};
SELECT change_log_ensure_partitions(4);
ALTER TABLE change_log DISABLE TRIGGER USER;
INSERT INTO change_log SELECT * FROM entries_so_far ORDER BY revision;
ALTER TABLE change_log ENABLE TRIGGER USER;
DROP TABLE entries_so_far;
"""


def make_small(revisions: int) -> str:
    """The statements, for a database in which nobody writes yet."""
    return MAKE_SMALL.format(revisions=revisions)
