"""Which responses count as failures of a load."""

import json
import subprocess
import sys

# In a process of its own: importing Locust replaces the sockets of the process.
JUDGE = """
import json, sys
from types import SimpleNamespace
from loadtests.locustfile import fault_of

for status, text, known in json.load(sys.stdin):
    response = SimpleNamespace(status_code=status, text=text, error="refused", json=lambda text=text: json.loads(text))
    print(json.dumps(fault_of(response, known)))
"""

GONE, DOWN = '{"reason": "PART_NOT_FOUND"}', '{"reason": "STORE_UNAVAILABLE"}'

CASES: list[tuple[tuple[int, str, str | None], str | None]] = [
    ((200, "{}", None), None),
    ((200, "<p>hello</p>", None), "200 without a JSON body"),
    ((304, "", '"a"'), None),
    ((304, "", None), "304 that was not asked for, or with a body"),
    ((304, "{}", '"a"'), "304 that was not asked for, or with a body"),
    ((404, GONE, None), None),
    ((404, "<p>no</p>", None), "404"),
    ((503, DOWN, None), "503 STORE_UNAVAILABLE"),
    ((0, "", None), "no response: refused"),
]


def test_a_shopper_checks_responses() -> None:
    """404 to everything, from a server that is not an edge, was reported as a load without failures."""
    given = json.dumps([case for case, _ in CASES])

    done = subprocess.run([sys.executable, "-c", JUDGE], input=given, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [fault for _, fault in CASES]
