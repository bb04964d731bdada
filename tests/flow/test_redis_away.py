"""Without Redis everything goes on, only slower; with Redis back, nothing is missing."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.flow.admin import Admin
from tests.flow.eventually import eventually
from tests.flow.recorders import LiveRecorder
from tests.flow.running_stack import RunningStack
from tests.flow.stored_facts import AuditFacts, audit_facts, log_facts
from tests.harness.own_redis import OwnRedis

WRITES = 20


@pytest.fixture
def lonely_stack(own_redis: OwnRedis) -> Iterator[RunningStack]:
    """A stack on a Redis server that the test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="partstream-flow-"))
    running = RunningStack(folder, edges=1, settings={"PARTSTREAM_REDIS_URL": own_redis.url})
    running.start()
    yield running
    running.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
async def test_reads_writes_and_sockets_go_on_and_the_audit_catches_up(
    lonely_stack: RunningStack, own_redis: OwnRedis
) -> None:
    stack = lonely_stack
    async with Admin(stack) as admin, httpx.AsyncClient(base_url=f"{stack.edge_url()}/api/v1") as shopper:
        await admin.create_part("R-1")
        await admin.put_stock("R-1", 100, expected_version=0)
        async with LiveRecorder(stack, ["R-1"]) as browser:
            own_redis.stop()

            for version in range(1, WRITES + 1):
                response = await admin.put_stock("R-1", 100 + version, expected_version=version)
            await browser.until(lambda: browser.version("R-1") == WRITES + 1)
            headers = {"Partstream-Min-Revision": response.headers["Partstream-Revision"]}
            stock = (await shopper.get("/parts/R-1/stock", headers=headers)).json()
            page = await shopper.get("/parts/R-1")

            own_redis.start()
            last = {service: (await log_facts(stack, service)).last for service in ("inventory", "content")}
            audits = [await audited(stack, service, revision) for service, revision in last.items()]

    assert (stock["available"], stock["version"]) == (100 + WRITES, WRITES + 1)
    assert page.status_code == 200
    assert browser.faults == []
    assert [audit.revisions for audit in audits] == list(last.values())
    assert all(audit.places == audit.rows for audit in audits)


async def audited(stack: RunningStack, service: str, revision: int) -> AuditFacts:
    return await eventually(lambda: caught_up(stack, service, revision), within=60)


async def caught_up(stack: RunningStack, service: str, revision: int) -> AuditFacts | None:
    found = await audit_facts(stack, service)
    return found if found.last >= revision else None
