"""``./partstream bench NAME``: measure one part by name, as a table with ratios."""

import importlib
import sys

BENCHES = {
    "stock": ("devstack.bench.stock", "stock writes against pgbench on the same server"),
    "edge": ("devstack.bench.edge", "reads of a running edge against a bare route"),
    "live": ("devstack.bench.live", "one change for thousands of sockets of a running edge, and a reader beside them"),
    "stream": ("devstack.bench.stream", "the change stream: latency, fan-out, catch-up, memory"),
}


def main(arguments: list[str]) -> int:
    """Run the bench named first; the rest is its own."""
    if not arguments or arguments[0] not in BENCHES:
        lines = "\n".join(f"  {name:<8} {line}" for name, (_, line) in BENCHES.items())
        asked = arguments[:1] in (["-h"], ["--help"])
        print(f"usage: ./partstream bench NAME [arguments]\n\n{lines}", file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    bench = importlib.import_module(BENCHES[arguments[0]][0])
    code: int = bench.main(arguments[1:])
    return code
