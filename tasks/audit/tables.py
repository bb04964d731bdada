"""The audit trail as Piccolo sees it. Partitions, indexes and guards are in ``schema``, which the migration runs."""

from piccolo.columns import JSONB, UUID, Array, BigInt, Integer, Text, Timestamptz
from piccolo.table import Table


class DataChangeLog(Table, tablename="data_change"):
    """One change of one entity: who, when, whence, why, and the values before and after.

    The greatest revision stored for a service is the dispatcher's position: nothing else remembers it.
    """

    id = BigInt(primary_key=True)
    service = Text()
    epoch = UUID()
    revision = BigInt()
    ordinal = Integer()
    entity = Text()
    entity_id = Text()
    part_id = Text(null=True)
    operation = Text()
    old = JSONB(null=True)
    new = JSONB(null=True)
    changed_fields = Array(base_column=Text())
    details = JSONB(null=True)
    actor = Text()
    actor_id = Text()
    source = Text()
    client_ip = Text()
    request_id = Text()
    traceparent = Text()
    reason = Text()
    occurred_at = Timestamptz()
    recorded_at = Timestamptz()
