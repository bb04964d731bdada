"""Page warming reads each page from every edge at the revision of the change; a failed read affects no other."""

import asyncio
import time

import httpx

from tasks.warming.pages import MAX_PAGES_WAITING, MIN_REVISION_HEADER, PageWarmer


async def test_each_page_is_read_from_every_edge_at_the_revision() -> None:
    seen: list[tuple[str, str]] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append((str(request.url), request.headers[MIN_REVISION_HEADER]))
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
        warmer = PageWarmer(client, ["http://one:8000", "http://two:8001"])
        await warmer.warm(["C1", "a.b-c_d"], "token", time.time())
        await warmer.settled()

    assert sorted(seen) == [
        ("http://one:8000/api/v1/parts/C1", "token"),
        ("http://one:8000/api/v1/parts/a.b-c_d", "token"),
        ("http://two:8001/api/v1/parts/C1", "token"),
        ("http://two:8001/api/v1/parts/a.b-c_d", "token"),
    ]


async def test_a_page_that_cannot_be_read_does_not_stop_the_others() -> None:
    seen: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        if request.url.path.endswith("C1"):
            message = "refused"
            raise httpx.ConnectError(message)
        return httpx.Response(404 if request.url.path.endswith("C2") else 200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
        warmer = PageWarmer(client, ["http://one:8000"])
        await warmer.warm(["C1", "C2", "C3"], "", time.time())
        await warmer.settled()

    assert sorted(seen) == [f"/api/v1/parts/C{number}" for number in (1, 2, 3)]


async def test_waiting_pages_are_bounded_deduplicated_and_do_not_block_the_caller() -> None:
    seen: list[tuple[str, str]] = []
    gate = asyncio.Event()

    async def respond(request: httpx.Request) -> httpx.Response:
        seen.append((request.url.path.rpartition("/")[2], request.headers[MIN_REVISION_HEADER]))
        await gate.wait()
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
        warmer = PageWarmer(client, ["http://one:8000"])
        await warmer.warm([f"C{number}" for number in range(3 * MAX_PAGES_WAITING)], "first", time.time())
        await warmer.warm(["C9"], "second", time.time())
        gate.set()
        await warmer.settled()

    assert len({part for part, _ in seen}) == len(seen)
    assert len(seen) <= MAX_PAGES_WAITING
    assert ("C9", "second") in seen


async def test_a_late_job_is_dropped() -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(500))) as client:
        warmer = PageWarmer(client, ["http://one:8000"])
        await warmer.warm(["C1"], "", time.time() - 60)

        assert not warmer._readers


async def test_warming_uses_at_most_half_of_the_rate_limit_of_its_address() -> None:
    """An import otherwise uses up the limit of the clients at the same address."""
    seen: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        left = 100 - seen.count(request.url.host) if request.url.host == "one" else 99
        headers = {"RateLimit-Policy": '"reads";q=100;w=3600', "RateLimit": f'"reads";r={left};t=3600'}
        return httpx.Response(200, headers=headers)

    async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
        warmer = PageWarmer(client, ["http://one:8000", "http://two:8001"])
        await warmer.warm([f"C{number}" for number in range(200)], "", time.time())
        await warmer.settled()

    assert 50 <= seen.count("one") < 50 + 4
    assert seen.count("two") == 200
