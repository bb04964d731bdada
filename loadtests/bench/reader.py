"""One shopper who reads the same thing every few milliseconds until the input ends, then prints how long that took.

``python -m loadtests.bench.reader PORT PATH``. A process of its own: what its parent is busy with must not count.
"""

from __future__ import annotations

import http.client
import json
import select
import statistics
import sys
import time

from stack.errors import ServerUnavailable

PAUSE_SECONDS = 0.005


def main(port: int, path: str) -> None:
    """Read, and print milliseconds as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    took: list[float] = []
    while not select.select([sys.stdin], [], [], PAUSE_SECONDS)[0]:
        began = time.monotonic()
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        if response.status != http.client.OK:
            message = f"{path}: got {response.status} instead of 200"
            raise ServerUnavailable(message)
        took.append((time.monotonic() - began) * 1_000)
    took.sort()
    figures = {"median": statistics.median(took), "p99": took[int(len(took) * 0.99)], "worst": took[-1]}
    sys.stdout.write(json.dumps({"count": len(took), **figures}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
