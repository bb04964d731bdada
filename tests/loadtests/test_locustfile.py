"""What a shopper takes for a failure."""

import json
import subprocess
import sys

# In a process of its own: importing Locust replaces the sockets of the process.
JUDGE = """
import json, sys
from types import SimpleNamespace
from loadtests.locustfile import fault_of

for status, text, known in json.load(sys.stdin):
    answer = SimpleNamespace(status_code=status, text=text, error="refused", json=lambda text=text: json.loads(text))
    print(json.dumps(fault_of(answer, known)))
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
    ((0, "", None), "no answer: refused"),
]


def test_a_shopper_judges_what_is_answered() -> None:
    """404 to everything, from a server that was no edge, was a load without a failure."""
    given = json.dumps([case for case, _ in CASES])

    done = subprocess.run([sys.executable, "-c", JUDGE], input=given, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == [fault for _, fault in CASES]
