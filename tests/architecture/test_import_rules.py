"""Who may import whom is written in pyproject.toml; importing does nothing but define."""

import graphlib
import subprocess
import sys
from pathlib import Path

import grimp

from cli.development.documents import PACKAGES
from stack.checkout import ROOT
from tests.architecture.source import python_files

# Locust replaces the sockets of the process that imports it: that is its way of working.
NOT_IMPORTED = {Path("loadtests/locustfile.py")}
IMPORT_UNDER_WATCH = """
import importlib, sys
FORBIDDEN = ("socket.connect", "socket.bind", "subprocess.Popen", "os.system", "os.fork", "os.posix_spawn",
             "os.mkdir", "os.remove", "os.rename")
ours = sys.argv[1:]
faults = []
watching = None
def watch(event, arguments):
    if watching is None:
        return
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if event in FORBIDDEN or writes:
        faults.append(f"{watching}: {event} {arguments[:2]}")
import asyncio, grpc, asyncpg, piccolo.table, litestar, granian, dramatiq, rich.console, psycopg, redis.asyncio, httpx
import protovalidate, argon2, jwt, opentelemetry.sdk.trace, uvloop
sys.addaudithook(watch)
sys.dont_write_bytecode = True
for name in ours:
    watching = name
    importlib.import_module(name)
watching = None
print("\\n".join(faults))
"""


def test_import_rules_hold() -> None:
    linter = Path(sys.executable).parent / "lint-imports"

    done = subprocess.run([linter, "--no-logo"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_no_files_need_each_other_not_even_for_types() -> None:
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}

    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError, which names the circle


def test_importing_reads_and_writes_nothing() -> None:
    names = [
        ".".join(path.with_suffix("").parts).removesuffix(".__init__")
        for path in python_files(*PACKAGES)
        if path not in NOT_IMPORTED
    ]

    command = [sys.executable, "-B", "-c", IMPORT_UNDER_WATCH, *names]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
