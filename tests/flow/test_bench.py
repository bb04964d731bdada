"""What is measured on a running stack is measured to the end."""

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
