"""The verbs of ``./partstream``: one line each, and the module whose ``main(arguments) -> int`` does it.

Standard library only: the list is shown before any requirement is installed.
"""

from dataclasses import dataclass

from devstack.checkout import ROOT


@dataclass(frozen=True)
class Verb:
    """What a verb does and where."""

    module: str
    line: str

    def exists(self) -> bool:
        """Say whether the module is there."""
        path = ROOT.joinpath(*self.module.split("."))
        return path.with_suffix(".py").exists()


VERBS = {
    "up": Verb("devstack.supervision.up", "run the whole system on this machine until Ctrl-C"),
    "status": Verb("devstack.supervision.status", "say what runs, on which ports, and how it is; --json for programs"),
    "psql": Verb(
        "devstack.operating.psql", "open a SQL shell on inventory, content, edge or audit of the running stack"
    ),
    "import": Verb(
        "devstack.catalogue_import.verb", "bring a catalogue file (JSONL or CSV, plain or gz) in through the services"
    ),
    "replay": Verb("devstack.replay.verb", "play a file of stock movements through the services and compare the end"),
    "test": Verb("devstack.upkeep.run_tests", "run the tests on a real PostgreSQL and Redis; takes pytest's arguments"),
    "lint": Verb("devstack.upkeep.lint", "check style, types, import rules, contracts and generated code"),
    "gen": Verb(
        "devstack.upkeep.generate", "generate gen/ from protos/, and the map and settings of docs/ from the code"
    ),
    "bench": Verb("devstack.bench.verb", "measure one part by name"),
    "log": Verb(
        "devstack.operating.log_verb",
        "verify a change log and the rows it tells of, or print a signed checkpoint of it",
    ),
    "db": Verb("devstack.operating.db_verb", "dump a database to a file, or restore one under running services"),
    "events": Verb(
        "devstack.operating.events_verb", "print a service's change log from a cursor or a time on; --follow, --json"
    ),
    "chaos": Verb("tests.chaos.verb", "kill, cut, stall and restart under the change stream; --seeds N"),
    "load": Verb("devstack.operating.load", "put the running stack under a browsing load"),
}


def available() -> dict[str, Verb]:
    """Answer the verbs this tree has."""
    return {name: verb for name, verb in VERBS.items() if verb.exists()}


def overview() -> str:
    """Answer the list shown to people."""
    lines = [f"  {name:<8} {verb.line}" for name, verb in available().items()]
    head = "usage: ./partstream VERB [arguments]; every verb explains itself with --help\n"
    return "\n".join([head, *lines])
