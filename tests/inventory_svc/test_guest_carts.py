"""Limits of a guest's cart, the secrecy of its key, and its transfer to an account."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chassis import errors
from chassis.limits import limits
from inventory_svc.convert.requests import guest_network
from partstream.changes.v1 import change_log_service_pb2
from partstream.inventory.v1 import stock_service_pb2 as pb
from partstream.inventory.v1.reservation_pb2 import ReservationLine
from tests.inventory_svc.running import Running, refusal, running
from tests.inventory_svc.test_reservations import COMMITTED, HELD, KEY, OTHER_KEY, wish

SETTINGS: dict[str, Any] = {
    "limits": limits("open_reservations_per_address=6,reservation_share=0.5"),
    "guest_lines": 3,
    "guest_units": 40,
    "guest_ttl_seconds": 600,
    "guest_extensions": 2,
    "guest_open_reservations": 4,
}
CUSTOMER = frozenset({"reservations:commit"})


@pytest.fixture
async def bounded(inventory_dsn: str, tmp_path: Path) -> AsyncIterator[Running]:
    """A running service with small limits for guests."""
    async with running(inventory_dsn, tmp_path, **SETTINGS) as service:
        yield service
        service.check_books()


def extension(reservation_id: str, seconds: int = 60, owner_key: str = KEY) -> pb.ExtendReservationRequest:
    request = pb.ExtendReservationRequest(reservation_id=reservation_id, owner_key=owner_key)
    request.ttl.FromSeconds(seconds)
    return request


def cart(number: int) -> str:
    """The key of one of many carts."""
    return f"{KEY}-{number}"


async def test_a_guest_cannot_commit(bounded: Running) -> None:
    """A guest could ship what it held."""
    part = await bounded.have(10)
    held = (await bounded.public.CreateReservation(wish((part, 2)))).reservation.reservation_id
    support = bounded.client("support", str(uuid.uuid4()), frozenset({"stock:read"}))

    request = pb.CommitReservationRequest(reservation_id=held, owner_key=KEY)
    assert isinstance(await refusal(bounded.public.CommitReservation(request)), errors.TokenMissing)
    assert isinstance(await refusal(support.CommitReservation(request)), errors.PermissionMissing)
    assert (await bounded.level(part)).on_hand == 10


async def test_a_customer_commits_its_own_only(bounded: Running) -> None:
    part = await bounded.have(10)
    anna, bert = (bounded.client(name, str(uuid.uuid4()), CUSTOMER) for name in ("anna", "bert"))
    held = (await anna.CreateReservation(wish((part, 2), owner_key=""))).reservation.reservation_id
    request = pb.CommitReservationRequest(reservation_id=held)

    assert (await refusal(bert.CommitReservation(request))).reason == "RESERVATION_NOT_FOUND"
    assert (await anna.CommitReservation(request)).reservation.state == COMMITTED


async def test_stock_write_is_no_permission_to_act_for_others(bounded: Running) -> None:
    part = await bounded.have(10)
    held = (await bounded.public.CreateReservation(wish((part, 2)))).reservation.reservation_id
    clerk = bounded.client("clerk", str(uuid.uuid4()), frozenset({"stock:write"}))
    manager = bounded.client("manager", str(uuid.uuid4()), frozenset({"reservations:manage"}))
    request = pb.ReleaseReservationRequest(reservation_id=held)

    assert (await refusal(clerk.ReleaseReservation(request))).reason == "RESERVATION_NOT_FOUND"
    assert (await manager.ReleaseReservation(request)).reservation.state != HELD


async def test_quantities_and_times_beyond_a_limit_are_rejected(bounded: Running) -> None:
    part = await bounded.have(1000)
    cases = [
        (wish((part, 1), seconds=601), "ttl"),
        (wish((part, 41)), "lines[0].quantity"),
        (wish((part, 20), (part, 20), (part, 1)), "lines[2].quantity"),
        (wish((part, 1), ("a", 1), ("b", 1), ("c", 1)), "lines"),
        (wish((part, 1), owner_key=""), "owner_key"),
        (wish((part, 1), owner_key="x" * 31), "owner_key"),
    ]

    for request, field in cases:
        error = await refusal(bounded.public.CreateReservation(request))
        assert isinstance(error, errors.FieldInvalid)
        assert [item.path for item in error.fields] == [field]
    assert (await bounded.level(part)).version == 1


async def test_the_batch_has_the_same_limits(bounded: Running) -> None:
    part = await bounded.have(1000)
    many = [wish((part, 1), owner_key=cart(at), request_id=str(uuid.uuid4())) for at in range(8)]

    response = await bounded.public.BatchCreateReservations(pb.BatchCreateReservationsRequest(reservations=many))
    long = await refusal(
        bounded.public.BatchCreateReservations(pb.BatchCreateReservationsRequest(reservations=[wish((part, 41))]))
    )

    assert [result.error.reason for result in response.results] == [""] * 6 + ["RESERVATION_LIMIT"] * 2
    assert isinstance(long, errors.FieldInvalid)


async def test_the_end_of_a_hold_is_moved_so_often_and_not_further(bounded: Running) -> None:
    """A guest could extend without end."""
    part = await bounded.have(10)
    held = (await bounded.public.CreateReservation(wish((part, 2)))).reservation.reservation_id

    assert isinstance(await refusal(bounded.public.ExtendReservation(extension(held, 601))), errors.FieldInvalid)
    await bounded.public.ExtendReservation(extension(held))
    replaced = await bounded.public.CreateReservation(wish((part, 2), replaces_reservation_id=held))
    held = replaced.reservation.reservation_id
    for call in (
        bounded.public.ExtendReservation(extension(held)),
        bounded.public.CreateReservation(wish((part, 2), replaces_reservation_id=held)),
    ):
        error = await refusal(call)
        assert isinstance(error, errors.FieldInvalid)
        assert [item.path for item in error.fields] == ["ttl"]
    assert (await bounded.staff.ExtendReservation(extension(held, 86_400, ""))).reservation.state == HELD


async def test_a_cart_has_so_many_open_reservations(bounded: Running) -> None:
    part = await bounded.have(100)
    held = [(await bounded.public.CreateReservation(wish((part, 1)))).reservation for _ in range(4)]

    error = await refusal(bounded.public.CreateReservation(wish((part, 1))))
    swapped = await bounded.public.CreateReservation(wish((part, 1), replaces_reservation_id=held[0].reservation_id))
    await bounded.public.ReleaseReservation(
        pb.ReleaseReservationRequest(reservation_id=held[1].reservation_id, owner_key=KEY)
    )
    freed = await bounded.public.CreateReservation(wish((part, 1)))

    assert error.reason == "RESERVATION_LIMIT"
    assert error.metadata == {"limit": "open_reservations_per_cart", "allowed": "4"}
    assert (swapped.reservation.state, freed.reservation.state) == (HELD, HELD)
    assert (await refusal(bounded.public.CreateReservation(wish((part, 1))))).reason == "RESERVATION_LIMIT"


async def test_an_address_has_so_many_open_reservations_through_two_replicas(bounded: Running, tmp_path: Path) -> None:
    """Each replica counts while it holds a lock: two at once cannot both have the last one."""
    part = await bounded.have(100)

    async with running(bounded.dsn, tmp_path, **SETTINGS) as other:
        calls = [
            replica.public.CreateReservation(wish((part, 1), owner_key=cart(at)))
            for at, replica in enumerate([bounded, other] * 12)
        ]
        results = await asyncio.gather(*calls, return_exceptions=True)

    assert sum(not isinstance(result, BaseException) for result in results) == 6
    assert (await bounded.level(part)).reserved == 6


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("7.7.7.7<script>", "unknown"),
    ],
)
def test_addresses_of_one_customer_are_one_guest(address: str, network: str) -> None:
    """An IPv6 customer has 2**64 addresses."""
    assert guest_network(address) == network


async def test_an_expired_hold_is_not_counted(bounded: Running) -> None:
    part = await bounded.have(100)
    await bounded.app.expiry.stop()
    for _ in range(4):
        last = await bounded.public.CreateReservation(wish((part, 1), seconds=1))
    ends = last.reservation.expire_time.ToNanoseconds() / 1e9
    bounded.sql("SELECT pg_sleep(greatest(0, %s - extract(epoch FROM clock_timestamp())))", ends)

    assert (await bounded.public.CreateReservation(wish((part, 1)))).reservation.state == HELD


async def test_a_share_of_the_stock_is_counted_over_all_holds_of_a_cart(bounded: Running) -> None:
    part = await bounded.have(10)

    large = await refusal(bounded.public.CreateReservation(wish((part, 6))))
    await bounded.public.CreateReservation(wish((part, 3)))
    piece = await refusal(bounded.public.CreateReservation(wish((part, 3))))
    elsewhere = await refusal(bounded.public.CreateReservation(wish((part, 3), owner_key=OTHER_KEY)))
    fitting = await bounded.public.CreateReservation(wish((part, 2)))
    single = await bounded.public.CreateReservation(wish((part, 1)))

    for error in (large, piece, elsewhere):
        assert error.reason == "RESERVATION_LIMIT"
        assert (error.metadata["limit"], error.metadata["allowed"]) == ("reservation_share", "5")
    assert (fitting.reservation.state, single.reservation.state) == (HELD, HELD)
    assert (await bounded.level(part)).reserved == 6


async def test_one_unit_can_be_reserved_whatever_the_share(bounded: Running) -> None:
    part = await bounded.have(1)

    assert (await bounded.public.CreateReservation(wish((part, 1)))).reservation.state == HELD


async def test_no_table_and_no_reader_has_a_key(bounded: Running) -> None:
    """The key of a cart stood in the reservation, in the log, in stored responses and in what readers were sent."""
    part = await bounded.have(10)
    request = wish((part, 2), request_id=str(uuid.uuid4()))
    held = (await bounded.public.CreateReservation(request)).reservation
    await bounded.public.ReleaseReservation(
        pb.ReleaseReservationRequest(reservation_id=held.reservation_id, owner_key=KEY, request_id=str(uuid.uuid4()))
    )

    shown = await bounded.staff.GetReservation(pb.GetReservationRequest(reservation_id=held.reservation_id))
    tables = bounded.sql("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")

    assert shown.reservation.owner == ""
    assert bounded.sql("SELECT owner FROM reservation") == [(hashlib.sha256(KEY.encode()).hexdigest(),)]
    hidden = KEY.encode().hex()
    for (table,) in tables:
        query = f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s OR t::text LIKE %s"  # noqa: S608
        rows = bounded.sql(query, f"%{KEY}%", f"%{hidden}%")
        assert rows == [(0,)], table


async def test_a_key_in_clear_is_refused_by_the_database(bounded: Running) -> None:
    part = await bounded.have(10)
    await bounded.public.CreateReservation(wish((part, 2)))

    with pytest.raises(Exception, match="cart_key_is_hashed"):
        bounded.sql("UPDATE reservation SET owner = 'a key in clear'")


async def test_a_cart_passes_to_the_account_that_has_its_key(bounded: Running) -> None:
    part = await bounded.have(10)
    held = (await bounded.public.CreateReservation(wish((part, 2)))).reservation.reservation_id
    anna = bounded.client("anna", str(uuid.uuid4()), CUSTOMER)
    own = pb.GetReservationRequest(reservation_id=held)
    assert (await refusal(anna.GetReservation(own))).reason == "RESERVATION_NOT_FOUND"

    listed = await anna.ListReservations(pb.ListReservationsRequest(owner_key=KEY))

    assert [item.reservation_id for item in listed.reservations] == [held]
    assert (await anna.GetReservation(own)).reservation.owner != ""
    guest = pb.GetReservationRequest(reservation_id=held, owner_key=KEY)
    assert (await refusal(bounded.public.GetReservation(guest))).reason == "RESERVATION_NOT_FOUND"
    actor = bounded.sql("SELECT actor_name, before->>'owner_is_user' FROM change_log WHERE entity = 'reservation'")
    assert actor[-1] == ("anna", "false")


async def test_a_list_needs_an_account_or_a_key(bounded: Running) -> None:
    assert isinstance(await refusal(bounded.public.ListReservations(pb.ListReservationsRequest())), errors.TokenMissing)


async def test_the_operators_view_of_the_log_has_no_owner_of_a_cart(bounded: Running) -> None:
    part = await bounded.have(10)
    await bounded.public.CreateReservation(wish((part, 2)))
    entries = bounded.log_client()

    found = await entries.ListEntries(change_log_service_pb2.ListEntriesRequest(entity="reservation"))

    assert [entry.after["owner"] for entry in found.entries] == [""]
    line = ReservationLine(part_id=part, quantity=1)
    await bounded.staff.CreateReservation(pb.CreateReservationRequest(lines=[line]))
    found = await entries.ListEntries(change_log_service_pb2.ListEntriesRequest(entity="reservation"))
    assert found.entries[-1].after["owner"] != ""
