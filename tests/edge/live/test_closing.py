"""The close code reaches a client that continues to send. Once it got 1006: a reset overtook the close frame."""

import asyncio
import contextlib
import sys

import pytest
from websockets.exceptions import ConnectionClosed

from tests.edge.live.conftest import LiveClient, LiveServer

PING = '{"op":"ping"}'
# A client that sends without end until it sees the close; a process of its own, because it does not let others run.
ENDLESS = """
import asyncio, contextlib, json, sys
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

async def flood(address, headers, first):
    async with connect(address, proxy=None, additional_headers=headers) as connection:
        # The library aborts a transport that has ended already when it learns of the close while it sends.
        with contextlib.suppress(ConnectionClosed, AttributeError):
            await connection.send(first)
            while True:
                await connection.send('{"op":"ping"}')
        await connection.wait_closed()
        print(int(connection.close_code))

asyncio.run(flood(sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]))
"""


async def send_until_closed(client: LiveClient, first: str, count: int) -> int | None:
    with contextlib.suppress(ConnectionClosed):
        await client.connection.send(first)
        for _ in range(count):
            await client.connection.send(PING)
    async with asyncio.timeout(60):
        code, _ = await client.closed()
    return code


async def flood(live: LiveServer, first: str, headers: str = "{}") -> int:
    address = f"ws://127.0.0.1:{live.port}/api/v1/live"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ENDLESS, address, headers, first), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    return int(output)


@pytest.mark.parametrize("count", [500, 2_000])
async def test_too_many_messages_are_4009(live: LiveServer, count: int) -> None:
    codes = [await send_until_closed(await live.open(), PING, count) for _ in range(5)]

    assert codes == [4009] * 5


async def test_client_that_reads_gets_the_close_while_it_sends(live: LiveServer) -> None:
    client = await live.open()
    reading = asyncio.create_task(client.closed())  # its library stops to read with a few frames that nothing takes

    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionClosed):
            while not reading.done():
                await client.connection.send(PING)
                await asyncio.sleep(0)  # the server is in this process

        assert (await reading)[0] == 4009


async def test_messages_without_end_are_4009(live: LiveServer) -> None:
    assert await flood(live, PING) == 4009


async def test_a_message_that_cannot_be_read_is_4400_whatever_follows(live: LiveServer) -> None:
    assert await send_until_closed(await live.open(), "no JSON", 2_000) == 4400
    assert await flood(live, "no JSON") == 4400


async def test_a_name_that_is_given_twice_is_4400(live: LiveServer) -> None:
    assert await send_until_closed(await live.open(), '{"op":"ping","op":"ping"}', 0) == 4400


async def test_a_token_that_is_rejected_in_a_flood_is_4001(live: LiveServer) -> None:
    assert await flood(live, PING, '{"Authorization": "Bearer nonsense"}') == 4001


async def test_among_many_connections_the_close_waits_for_a_pause(
    live: LiveServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.live.closing.FEW_FILES", 0)

    assert await send_until_closed(await live.open(), PING, 2_000) == 4009
    assert await flood(live, PING) == 4009
