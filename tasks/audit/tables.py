"""The audit trail, for the query builder. Partitions, indexes and triggers are in the migrations."""

from piccolo.columns import JSONB, UUID, Array, BigInt, Integer, Text, Timestamptz
from piccolo.table import Table

from chassis.database import TABLE_ENGINE


class DataChangeLog(Table, tablename="data_change", db=TABLE_ENGINE):
    """One change of one entity: who, when, from where, why, and the values before and after.

    The greatest revision stored for a service is the position of its dispatcher; it is stored nowhere else.
    """

    id = BigInt(primary_key=True, default=None, help_text="order of recording")
    service = Text()
    epoch = UUID()
    revision = BigInt()
    ordinal = Integer(help_text="place among the movements of one entry, from 0")
    entity = Text()
    entity_id = Text()
    part_id = Text(null=True, default=None)
    operation = Text(help_text="created, updated, deleted, or gap for lost entries")
    old = JSONB(null=True, default=None)
    new = JSONB(null=True, default=None)
    changed_fields = Array(base_column=Text())
    details = JSONB(null=True, default=None)
    actor = Text()
    actor_id = Text()
    source = Text()
    client_ip = Text()
    request_id = Text()
    traceparent = Text()
    reason = Text()
    occurred_at = Timestamptz()
    recorded_at = Timestamptz()
