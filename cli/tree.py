"""The argument tree of ``partstream``: every command, its arguments and the function that runs it.

Standard library only, so that help, completion and wrong calls need no installed requirement. A command's function
takes the parsed arguments and returns the exit code; it is imported when the command runs.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "partstream"
DESCRIPTION = "Run and operate Partstream: a parts catalogue that stays consistent everywhere at once."
EPILOG = "Each command explains itself: partstream COMMAND --help. More: README.md and docs/."
DATABASES = ("inventory", "content", "edge", "audit")
LOGS = ("inventory", "content")
PROCESSES = ("edge", "inventory", "content", "tools")  # those with a credential
STREAM_PARTS = ("latency", "fan-out", "write-path", "catch-up", "memory", "snapshot")
SEPARATORS = (".", ",", "'", " ")  # of thousands, in texts of a catalogue file
SHELLS = ("bash", "zsh")
RUNTIME, DEVELOPMENT = "runtime", "development"
DATA_FOLDER_HELP = "data folder of the stack (default: PARTSTREAM_DATA_DIR, else .partstream/)"
HIGHEST_PORT = 65_535


class Parser(argparse.ArgumentParser):
    """A parser without abbreviations, whose errors show the usage of the command that was called."""

    def __init__(self, **options: object) -> None:
        """Take the options of ``ArgumentParser``."""
        super().__init__(allow_abbrev=False, **options)  # type: ignore[arg-type]

    def command(self, name: str, text: str, function: str, needs: str = RUNTIME) -> Parser:
        """Add a command; ``needs`` names the requirements it is run with."""
        made = self._commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.set_defaults(function=function, needs=needs, parser=made, extra_name=None)
        return made

    def group(self, name: str, text: str) -> Parser:
        """Add a command that only holds further commands."""
        made = self._commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.open_commands("ACTION" if name != "bench" else "NAME")
        return made

    def open_commands(self, metavar: str) -> None:
        """Let this parser take commands; without one it shows its help."""
        self._commands = self.add_subparsers(metavar=metavar, title="commands", parser_class=Parser)
        self.set_defaults(function=None, needs=RUNTIME, parser=self, extra_name=None)

    def with_data_dir(self) -> Parser:
        """Add ``--data-dir``."""
        self.add_argument("--data-dir", metavar="FOLDER", help=DATA_FOLDER_HELP)
        return self


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the parsed arguments; exits with 2 and the reason for a wrong call, with 0 for ``--help``.

    ``function`` is ``module:name``, ``needs`` the requirements, ``extra`` what is passed on to another program.
    """
    given, extra = build().parse_known_args(arguments)
    if given.function is None:
        given.parser.print_help()
        given.parser.exit(0 if given.parser.prog == PROGRAM else 2)
    if extra and given.extra_name is None:
        given.parser.error(f"unrecognized arguments: {' '.join(extra)}")
    given.extra = extra
    return given


def build() -> Parser:
    """Return the whole tree."""
    tree = Parser(prog=PROGRAM, description=DESCRIPTION, epilog=EPILOG)
    tree.add_argument("--version", action="version", version=f"{PROGRAM} {version()}")
    tree.open_commands("COMMAND")
    _add_stack(tree)
    _add_data(tree)
    _add_operation(tree)
    _add_accounts(tree)
    _add_development(tree)
    _add_measurements(tree)
    return tree


def version() -> str:
    """Return the version of this checkout, or of the installed package."""
    try:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    except OSError:
        return metadata.version(PROGRAM)
    return str(project["version"])


def _add_stack(tree: Parser) -> None:
    up = tree.command("up", "run the whole system on this machine until Ctrl-C", "stack.supervision.up:run")
    up.with_data_dir()
    up.add_argument("--port", type=port, default=8000, help="HTTP port of the first edge (default 8000)")
    up.add_argument("--edges", type=count, default=1, metavar="N", help="edge processes, on consecutive ports")
    up.add_argument("--replicas", type=count, default=1, metavar="N", help="copies of each service")
    up.add_argument("--empty", action="store_true", help="do not load the sample catalogue into an empty database")
    status = tree.command(
        "status", "show the processes of the running stack, their ports and health", "stack.supervision.status:run"
    ).with_data_dir()
    status.add_argument("--json", action="store_true", help="for programs; contains passwords")
    psql = tree.command("psql", "open a SQL shell on a database of the running stack", "cli.psql:run").with_data_dir()
    psql.add_argument("database", choices=DATABASES, help="which database")
    psql.epilog = "Further arguments go to psql, for example: partstream psql inventory -c 'SELECT 1'"
    psql.set_defaults(extra_name="psql")


def _add_data(tree: Parser) -> None:
    load = tree.command(
        "import", "import a catalogue file through the services", "cli.catalogue_import.command:run"
    ).with_data_dir()
    load.add_argument("file", type=input_path, help="JSON lines or CSV, plain or gzip; - reads standard input")
    load.add_argument(
        "--check",
        action="store_true",
        help="write nothing; report what would be rejected, and which fields of existing parts would change",
    )
    load.add_argument(
        "--clear-empty", action="store_true", help="an empty cell clears the field of a part that exists (default: not)"
    )
    load.add_argument("--set-stock", action="store_true", help="also set the stock of parts that have a level")
    load.add_argument("--currency", default="USD", type=currency, help="currency of the file's prices (default USD)")
    load.add_argument(
        "--decimal", choices=(".", ","), default="", help="decimal sign in texts (default: a point, 1.000 is rejected)"
    )
    load.add_argument(
        "--thousands", choices=SEPARATORS, default="", metavar="SIGN", help="thousands separator: . , ' or a space"
    )
    load.add_argument("--rejects", type=Path, help="file for rejected rows (default: in the data folder)")
    load.add_argument("--allow-rejects", action="store_true", help="exit with 0 although rows were rejected")
    load.add_argument("--notes", type=Path, help="file for every corrected value, one JSON object per line")
    replay = tree.command(
        "replay", "replay a file of stock movements and compare the final levels", "cli.replay.command:run"
    ).with_data_dir()
    replay.add_argument("file", type=input_path, help="movements as CSV, plain or gzip; - reads standard input")
    replay.add_argument("--speed", type=speed, default=None, help="max (default), or N times the original speed")
    replay.add_argument("--refusals", type=Path, help="file for refused rows (default: in the data folder)")
    for command in (load, replay):
        command.add_argument("--json", type=Path, help="file for the summary as JSON")
        command.add_argument("--restart", action="store_true", help="start over, even after an interrupted run")
        command.add_argument(
            "--patience", type=float, default=120.0, metavar="SECONDS", help="wait for an unavailable service (120)"
        )


def _add_operation(tree: Parser) -> None:
    events = tree.command("events", "print a service's change log", "cli.events:run").with_data_dir()
    events.add_argument("--service", choices=LOGS, default="inventory", help="whose log (default inventory)")
    events.add_argument("--from", dest="start", default="", metavar="CURSOR|TIME", help="default: the oldest entry")
    events.add_argument("--part", action="append", default=[], help="only this part; may be repeated")
    events.add_argument("--entity", default="", help="only this kind of entity, for example stock_level")
    events.add_argument("--follow", action="store_true", help="continue with new entries until interrupted")
    events.add_argument("--json", action="store_true", help="one JSON object per line")
    log = tree.group("log", "verify a change log, or print a signed checkpoint of it")
    verify = log.command("verify", "walk the hash chain and compare every row with its last entry", "cli.log:verify")
    verify.add_argument("--against", type=Path, metavar="FILE", help="a signed checkpoint to compare with")
    verify.add_argument("--service", choices=LOGS, help="whose log (default: both)")
    checkpoint = log.command("checkpoint", "print a signed checkpoint of the newest entry", "cli.log:checkpoint")
    checkpoint.add_argument("--service", choices=LOGS, required=True, help="whose log")
    for command in (verify, checkpoint):
        command.with_data_dir()
    db = tree.group("db", "dump a database to a file, or restore one under running services")
    dump = db.command("dump", "write a consistent copy of a database to a file", "cli.db:dump_database")
    restore = db.command(
        "restore", "replace a database by a backup; its change log starts a new epoch", "cli.db:restore_database"
    )
    for command, text in ((dump, "file to write"), (restore, "file to read")):
        command.with_data_dir()
        command.add_argument("database", choices=DATABASES, help="which database")
        command.add_argument("file", type=Path, help=text)
    restore.add_argument(
        "--audit-wait",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="wait for the audit trail to take in the last entries of the log (10)",
    )
    completion = tree.command("completion", "print a completion script for a shell", "cli.completion:run")
    completion.add_argument("shell", choices=SHELLS)
    completion.epilog = 'For bash: eval "$(partstream completion bash)"'


def _add_accounts(tree: Parser) -> None:
    keys = tree.group("keys", "credentials of the processes of the running stack")
    rotate = keys.command("rotate", "replace the keys of processes", "cli.keys:rotate").with_data_dir()
    rotate.add_argument("--process", action="append", choices=PROCESSES, help="whose key (default: of every process)")
    rotate.add_argument("--revoke", action="store_true", help="refuse the old keys at once, not after an hour")
    token = tree.command("token", "sign in to the running stack and print an access token", "cli.accounts:token")
    token.with_data_dir()
    token.add_argument("--user", metavar="NAME", help="account to sign in as (default: the first administrator)")
    token.add_argument("--role", metavar="ROLE", help="limit the token to one role of the account")
    token.epilog = "Needs no password: access to the data folder is the authority. The session is listed and revocable."
    users = tree.group("users", "create accounts, reset passwords, end lock-outs, list accounts")
    create = users.command("create", "create an account and print its password", "cli.accounts:create_user")
    create.add_argument("name", help="name of the account")
    create.add_argument(
        "--role", action="append", required=True, metavar="ROLE", help="a role of the account; may be repeated"
    )
    reset = users.command(
        "reset-password", "change a password and end the account's sessions and lock-out", "cli.accounts:reset_password"
    )
    unlock = users.command("unlock", "end the lock-out of an account", "cli.accounts:unlock_user")
    for command in (reset, unlock):
        command.add_argument("name", help="name of the account")
    for command in (create, reset):
        command.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from standard input; otherwise one is generated and printed once",
        )
    listing = users.command("list", "list accounts", "cli.accounts:list_users")
    for command in (create, reset, unlock, listing):
        command.with_data_dir()
        command.add_argument("--json", action="store_true", help="print one JSON object")


def _add_development(tree: Parser) -> None:
    test = tree.command(
        "test", "run the tests on real PostgreSQL and Redis", "cli.development.run_tests:run", DEVELOPMENT
    )
    test.add_argument("--workers", type=count, default=2, metavar="N", help="test processes side by side (default 2)")
    test.epilog = "Further arguments go to pytest, for example: partstream test tests/chassis -k cursor -x"
    test.set_defaults(extra_name="pytest")
    lint = tree.command(
        "lint",
        "check style, types, import rules, contracts and lock files",
        "cli.development.lint:run",
        DEVELOPMENT,
    )
    lint.add_argument(
        "--wheels",
        action="store_true",
        help="also ask the package index for wheels for every platform",
    )
    gen = tree.command(
        "gen",
        "generate gen/, docs/map.md and docs/settings.md",
        "cli.development.generate:run",
        DEVELOPMENT,
    )
    gen.add_argument("--locks", action="store_true", help="also write the lock files; locked versions stay")
    gen.add_argument("--upgrade", action="store_true", help="with --locks: take the newest versions")


def _add_measurements(tree: Parser) -> None:
    load = tree.command("load", "put the running stack under a browsing load", "cli.load:run", DEVELOPMENT)
    load.with_data_dir()
    load.add_argument("--host", metavar="URL", help="address of the edge (default: the first edge of the stack)")
    load.add_argument("--users", type=count, default=20, help="simulated shoppers (default 20)")
    load.add_argument("--rate", type=rate, default=10.0, help="shoppers started per second (default 10)")
    load.add_argument("--time", type=duration, default="30s", help="duration, for example 30s or 5m (default 30s)")
    load.add_argument("--json", type=Path, metavar="FILE", help="file for the figures as JSON")
    load.add_argument("--ui", action="store_true", help="open Locust's own page on a local port instead")
    chaos = tree.command("chaos", "inject faults, and judge what survives them", "tests.chaos.command:run", DEVELOPMENT)
    chaos.add_argument(
        "what",
        choices=("stream", "redis", "all"),
        help="the change stream (ordered, unique, reliable, atomic), or damaged and planted content of Redis",
    )
    chaos.add_argument("--seeds", type=int, default=24, metavar="N", help="number of scenarios (default 24)")
    chaos.add_argument("--fault", default="", metavar="NAME", help="stream: only this fault, as hang_replica")
    chaos.add_argument("--first", type=int, default=0, metavar="SEED", help="first seed (default 0)")
    chaos.add_argument("--jobs", type=count, default=1, metavar="N", help="processes side by side (default 1)")
    chaos.add_argument("--keep-going", action="store_true", help="continue after a violation")
    _add_benches(tree.group("bench", "measure one part of the system against a yardstick"))


def _add_benches(bench: Parser) -> None:
    stock = bench.command("stock", "stock writes against pgbench", "loadtests.bench.stock:run", DEVELOPMENT)
    stock.add_argument("--seconds", type=count, default=10, help="duration of each measurement (default 10)")
    stock.add_argument("--movements", type=int, default=0, help="also write N movements and watch the memory")
    large = bench.command(
        "large-transaction",
        "an UPDATE of many rows beside writers",
        "loadtests.bench.large_transaction:run",
        DEVELOPMENT,
    )
    large.add_argument("--rows", type=count, default=30_000, help="rows of the UPDATE (default 30,000)")
    large.add_argument("--rounds", type=count, default=3, help="rounds; medians are shown (default 3)")
    edge = bench.command("edge", "reads of an edge against a bare route", "loadtests.bench.edge:run", DEVELOPMENT)
    edge.add_argument("--seconds", type=float, default=2.0, help="duration of each measurement (default 2)")
    edge.add_argument("--rounds", type=count, default=3, help="rounds in turn; medians are shown (default 3)")
    edge.add_argument("--connections", type=count, default=16, help="parallel connections (default 16)")
    live = bench.command(
        "live", "one change for thousands of WebSockets of the running edge", "loadtests.bench.live:run", DEVELOPMENT
    )
    live.add_argument("--sockets", type=count, default=4_000, help="open sockets, at most 10,000 (default 4,000)")
    live.add_argument("--changes", type=count, default=5, help="changes per round (default 5)")
    live.add_argument("--rounds", type=count, default=12, help="rounds (default 12)")
    subscriptions = bench.command(
        "subscriptions",
        "what one address that subscribes to much costs other clients",
        "loadtests.bench.subscriptions:run",
        DEVELOPMENT,
    )
    subscriptions.add_argument("--sockets", type=count, default=100, help="sockets of the load (default 100)")
    subscriptions.add_argument("--subscriptions", type=count, default=20, help="of each socket (default 20)")
    subscriptions.add_argument("--parts", type=count, default=200, help="of each subscription (default 200)")
    subscriptions.add_argument("--seconds", type=count, default=8, help="duration of each measurement (default 8)")
    for command in (edge, live, subscriptions):
        command.with_data_dir()
    stream = bench.command(
        "stream", "the change stream: latency, fan-out, catch-up, memory", "loadtests.bench.stream:run", DEVELOPMENT
    )
    stream.add_argument("--part", choices=STREAM_PARTS, action="append", help="only this part; may be repeated")
    stream.add_argument("--scale", type=float, default=1.0, help="size of everything (default 1)")


def port(text: str) -> int:
    """Return a TCP port."""
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) <= HIGHEST_PORT:
        _refuse(f"{text!r} is not a port: a number from 1 to {HIGHEST_PORT}")
    return int(text)


def count(text: str) -> int:
    """Return a whole number above 0."""
    if not text.isascii() or not text.isdecimal() or not int(text):
        _refuse(f"{text!r} is not a whole number above 0")
    return int(text)


def rate(text: str) -> float:
    """Return a number above 0."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text) or not float(text):
        _refuse(f"{text!r} is not a number above 0")
    return float(text)


def speed(text: str) -> float | None:
    """Return a factor; None for ``max``."""
    return None if text == "max" else rate(text)


def duration(text: str) -> str:
    """Return a duration as Locust reads it."""
    if not re.fullmatch(r"([0-9]+h)?([0-9]+m)?([0-9]+s?)?", text) or not re.search("[1-9]", text):
        _refuse(f"{text!r} is not a duration: 30s, 5m or 1h30m")
    return text


def currency(text: str) -> str:
    """Return an ISO 4217 code."""
    if not re.fullmatch("[A-Z]{3}", text):
        _refuse(f"{text!r} is not a currency: three capital letters")
    return text


def input_path(text: str) -> Path:
    """Return the path of a file to read; ``-`` is standard input."""
    return Path("/dev/stdin") if text == "-" else Path(text)


def _refuse(message: str) -> None:
    raise argparse.ArgumentTypeError(message)
