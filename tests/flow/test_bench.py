"""What is measured on a running stack is measured to the end."""

import re

from tests.flow.admin import Admin
from tests.flow.running_stack import RunningStack


async def test_every_socket_gets_the_last_change(stack: RunningStack, admin: Admin) -> None:
    await admin.create_part("B-1")
    await admin.put_stock("B-1", 5, expected_version=0)

    code, output = await stack.verb("bench", "live", "--sockets", "20", "--rounds", "2", "--changes", "3")

    assert code == 0, output
    assert "20 sockets opened" in output
    assert "with all of them after" in output
    assert "REST reads meanwhile" in output
    assert "a change by SQL, COMMIT to the frame: median" in output


async def test_an_address_that_subscribes_to_much_does_not_stop_the_others(stack: RunningStack, admin: Admin) -> None:
    """The reads of other clients once took 400 times as long: the bound is far from both."""
    await admin.create_part("B-2")
    await admin.put_stock("B-2", 5, expected_version=0)

    code, output = await stack.verb("bench", "subscriptions", "--seconds", "3")

    assert code == 0, output
    for figure in ("REST read, median", "live frame, median"):
        ratio = re.search(rf"{figure} .* ms +(\d+\.\d)", output)
        assert ratio is not None, output
        assert float(ratio[1]) < 25, output
