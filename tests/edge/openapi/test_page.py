"""The API reference is a page of our own: nothing of it comes from another site."""

import re

import httpx
import pytest

from edge.app import Edge

ADDRESS = re.compile(r"""(?:src|href)=["']([^"']+)["']""")


@pytest.fixture
def site(edge: Edge) -> httpx.AsyncClient:
    """The edge as a browser reaches it."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=edge.asgi), base_url="http://edge")  # type: ignore[arg-type]


async def test_the_page_needs_no_other_site(site: httpx.AsyncClient) -> None:
    """A script of a content network once ran beside the administrator's session, and offline the page was blank."""
    page = await site.get("/schema")

    named = ADDRESS.findall(page.text)
    responses = [await site.get(f"/schema/{name}") for name in named if not name.startswith("/")]
    assert page.status_code == 200
    assert len(responses) >= 4
    assert [response.status_code for response in responses] == [200] * len(responses)
    assert not [name for name in named if "//" in name]
    assert "script-src 'self';" in page.headers["content-security-policy"]


async def test_files_of_the_page_are_compressed_and_revalidated(site: httpx.AsyncClient) -> None:
    script = await site.get("/schema/assets/swagger-ui-bundle.js", headers={"Accept-Encoding": "gzip"})
    again = await site.get(
        "/schema/assets/swagger-ui-bundle.js",
        headers={"Accept-Encoding": "gzip", "If-None-Match": script.headers["etag"]},
    )

    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["content-encoding"] == "gzip"
    assert "SwaggerUIBundle" in script.text
    assert again.status_code == 304


async def test_nothing_else_is_served(site: httpx.AsyncClient) -> None:
    for name, status in (("index.html", 404), ("..%2f__init__.py", 400), ("swagger-ui.js", 404)):
        assert (await site.get(f"/schema/assets/{name}")).status_code == status
