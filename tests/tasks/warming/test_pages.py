"""Warming reads each page from every edge, as of the change, and never fails because of one."""

import httpx

from tasks.warming.pages import MIN_REVISION_HEADER, PageWarmer


async def test_each_page_is_read_from_every_edge_as_of_the_token() -> None:
    seen: list[tuple[str, str]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append((str(request.url), request.headers[MIN_REVISION_HEADER]))
        return httpx.Response(200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await PageWarmer(client, ["http://one:8000", "http://two:8001"]).warm(["C1", "a.b-c_d"], "token")

    assert sorted(seen) == [
        ("http://one:8000/api/v1/parts/C1", "token"),
        ("http://one:8000/api/v1/parts/a.b-c_d", "token"),
        ("http://two:8001/api/v1/parts/C1", "token"),
        ("http://two:8001/api/v1/parts/a.b-c_d", "token"),
    ]


async def test_a_page_that_cannot_be_read_does_not_stop_the_others() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        if request.url.path.endswith("C1"):
            message = "refused"
            raise httpx.ConnectError(message)
        return httpx.Response(404 if request.url.path.endswith("C2") else 200)

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await PageWarmer(client, ["http://one:8000"]).warm(["C1", "C2", "C3"], "")

    assert sorted(seen) == [f"/api/v1/parts/C{number}" for number in (1, 2, 3)]
