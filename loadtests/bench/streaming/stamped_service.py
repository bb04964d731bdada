"""The inventory service as it is, but for one thing: it writes down when each of its commits was.

The clock is the machine's monotonic one, which every process of the machine shares.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import uvloop

from chassis.settings import load
from inventory_svc import app
from inventory_svc.settings import Settings
from inventory_svc.writer.group_commit import Writer


def main() -> None:
    """Serve."""
    with Path(os.environ["PARTSTREAM_BENCH_STAMPS"]).open("w", buffering=1) as stamps:

        class StampingWriter(Writer):
            def __init__(self, dsn: str, *, on_commit: Any, handoff: Any = None, store: Any = None) -> None:
                def stamped() -> None:
                    moment = time.monotonic_ns()
                    on_commit()
                    stamps.write(f"{moment}\n")

                super().__init__(dsn, on_commit=stamped, handoff=handoff, store=store)

        app.Writer = StampingWriter  # type: ignore[attr-defined]
        uvloop.run(app.serve(load(Settings)))


if __name__ == "__main__":
    main()
