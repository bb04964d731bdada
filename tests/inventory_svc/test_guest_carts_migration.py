"""A database in use before keys were hashed and claims had a principal."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import psycopg

from partstream.changes.v1.change_log_service_pb2 import ListEntriesRequest
from partstream.inventory.v1 import reservation_pb2
from partstream.inventory.v1 import stock_service_pb2 as pb
from tests.harness.templates import migrate
from tests.inventory_svc.running import ADMIN_ID, running

# The schema before the migration, as far as it is affected.
AS_BEFORE = """
DROP INDEX reservation_by_owner;
DROP INDEX reservation_held_by_owner;
DROP INDEX reservation_held_from;
ALTER TABLE reservation DROP CONSTRAINT cart_key_is_hashed, DROP COLUMN opened_from, DROP COLUMN extensions;
ALTER TABLE reservation RENAME COLUMN owner TO owner_key;
ALTER TABLE request DROP CONSTRAINT request_pkey, DROP COLUMN principal,
    ADD CONSTRAINT request_pkey PRIMARY KEY (request_id);
DELETE FROM migration WHERE name = '2026-11-28T21:30:00:000007';
"""
GUEST = "00000000-0000-0000-0000-000000000000"
KEY = "old-cart-ключ"
LEVEL = "INSERT INTO stock_level (part_id, location_id, on_hand) VALUES ('bolt', 'main', 10)"
RESERVATION = """
INSERT INTO reservation (reservation_id, owner_key, owner_is_user, line_count, expires_at, last_updated_by,
                         last_updated_by_name, request_id)
VALUES (%s, %s, %s, 1, now() + interval '1 hour', %s, 'somebody', %s)
"""
LINE = "INSERT INTO reservation_line VALUES (%s, 1, 'bolt', 'main', 1)"
CLAIM = "INSERT INTO request (request_id, body_hash, response, revision) VALUES (%s, sha256('x'), %s, 1)"
MOVEMENT = """
WITH moved AS (UPDATE stock_level SET on_hand = on_hand + 1, version = version + 1 WHERE part_id = 'bolt' RETURNING *)
INSERT INTO stock_movement SELECT part_id, location_id, version, 'adjusted', 1, 0, on_hand, reserved, %s, 'admin',
    'service', '', %s, '', 'why', NULL, NULL, clock_timestamp() FROM moved
"""


async def test_stored_keys_are_hashed_and_claims_get_a_principal(inventory_dsn: str, tmp_path: Path) -> None:
    ids = {name: str(uuid.uuid4()) for name in ("cart", "account", "nobody")}
    claims = {name: str(uuid.uuid4()) for name in (*ids, "movement")}
    response = pb.CreateReservationResponse(
        reservation=reservation_pb2.Reservation(reservation_id=ids["cart"], owner=KEY, order_reference="after")
    )
    with psycopg.connect(inventory_dsn, autocommit=True) as shell:
        shell.execute(AS_BEFORE)
        shell.execute(LEVEL)
        shell.execute("INSERT INTO users (id, username) VALUES (%s, 'admin')", (ADMIN_ID,))
        for name, owner, by in (("cart", KEY, GUEST), ("account", ADMIN_ID, ADMIN_ID), ("nobody", "", GUEST)):
            with psycopg.connect(inventory_dsn, options="-c partstream.source=service") as service:
                service.execute(RESERVATION, (ids[name], owner, name == "account", by, claims[name]))
                service.execute("UPDATE stock_level SET reserved = reserved")
                service.execute(LINE, (ids[name],))
        with psycopg.connect(inventory_dsn, options="-c partstream.source=service") as service:
            service.execute(MOVEMENT, (ADMIN_ID, claims["movement"]))
        for name, claim in claims.items():
            shell.execute(CLAIM, (claim, response.SerializeToString() if name == "cart" else b""))
        entries = shell.execute("SELECT count(*), max(revision) FROM change_log").fetchone()

        migrate("inventory", inventory_dsn)

        hashed = hashlib.sha256(KEY.encode()).hexdigest()
        owners: dict[str, str] = dict(shell.execute("SELECT reservation_id::text, owner FROM reservation").fetchall())
        assert owners == {ids["cart"]: hashed, ids["account"]: ADMIN_ID, ids["nobody"]: ""}
        found: dict[str, str] = dict(shell.execute("SELECT request_id::text, principal FROM request").fetchall())
        assert found == {
            claims["cart"]: f"cart:{hashed}",
            claims["account"]: f"user:{ADMIN_ID}",
            claims["nobody"]: f"user:{GUEST}",
            claims["movement"]: f"user:{ADMIN_ID}",
        }
        stored = shell.execute("SELECT response FROM request WHERE request_id = %s", (claims["cart"],)).fetchone()
        assert stored is not None
        kept = pb.CreateReservationResponse.FromString(stored[0]).reservation
        assert (kept.order_reference, set(kept.owner)) == ("after", {"*"})
        # No entry is written, and the rows still equal their entries.
        assert shell.execute("SELECT count(*), max(revision) FROM change_log").fetchone() == entries
        assert (
            shell.execute("SELECT * FROM change_log_rows_that_differ() WHERE entity = 'reservation'").fetchall() == []
        )

    async with running(inventory_dsn, tmp_path) as service:
        found_entries = await service.log_client().ListEntries(ListEntriesRequest(entity="reservation"))
        shown = {entry.entity_id: entry.after["owner_key"] for entry in found_entries.entries}
        assert shown == {ids["cart"]: "", ids["account"]: ADMIN_ID, ids["nobody"]: ""}
