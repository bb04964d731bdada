"""The argument tree of ``partstream``: every command, its arguments and the function that runs it.

Standard library only, so that help, completion and wrong calls need no installed requirement. A command's function
takes the parsed arguments and returns the exit code; it is imported when the command runs.
"""

from __future__ import annotations

import argparse
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from cli.argument_types import count, currency, duration, input_path, port, rate, speed

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "partstream"
DESCRIPTION = "Run and operate Partstream: a parts catalogue that stays consistent everywhere at once."
EPILOG = "Help of a command: partstream COMMAND --help. Documentation: README.md and docs/."
DATABASES = ("inventory", "content", "edge", "audit")
LOGS = ("inventory", "content")
PROCESSES = ("edge", "inventory", "content", "tools")  # those with a credential
STREAM_PARTS = ("latency", "fan-out", "write-path", "catch-up", "memory", "snapshot")
SEPARATORS = (".", ",", "'", " ")  # of thousands, in texts of a catalogue file
SHELLS = ("bash", "zsh")
RUNTIME, DEVELOPMENT = "runtime", "development"
DATA_FOLDER_HELP = "data folder of the stack (default: PARTSTREAM_DATA_DIR, else .partstream/)"
EXIT_CODES = "Exit code: 2 for a wrong call, 1 for a problem that the message names"
# What stands below the options of a command: its exit code where a script needs it, an example, a remark.
EPILOGS = {
    "up": f"{EXIT_CODES}, 0 after Ctrl-C.\nExample: partstream up --port 9000 --edges 2",
    "status": "Exit code: 0 when every process is healthy, else 1.\nExample: partstream status --json",
    "psql": "Further arguments are passed to psql.\nExample: partstream psql inventory -c 'SELECT 1'",
    "import": "Exit code: 0 when every row was imported, or with --allow-rejects; else 1.\n"
    "Example: partstream import catalogue.csv --check",
    "replay": "Exit code: 0 when every final level is as in the file, else 1.\n"
    "Example: partstream replay movements.csv.gz --speed max",
    "events": "Example: partstream events --service content --from 2026-01-31T12:00:00Z --follow",
    "log verify": "Exit code: 0 when the log is valid, else 1.\nExample: partstream log verify --service inventory",
    "log checkpoint": "Example: partstream log checkpoint --service inventory > inventory.checkpoint",
    "db dump": "Example: partstream db dump inventory inventory.dump",
    "db restore": "Exit code: 0 when the backup is in use; after 1 the database is unchanged.\n"
    "Example: partstream db restore inventory inventory.dump",
    "completion": 'Example for bash: eval "$(partstream completion bash)"',
    "keys rotate": "Example: partstream keys rotate --process edge --revoke",
    "token": "Needs no password, only access to the data folder. The session is listed and can be revoked.\n"
    'Example: curl -H "Authorization: Bearer $(partstream token)" http://127.0.0.1:8000/api/v1/auth/me',
    "users create": "Example: partstream users create jane --role support",
    "users reset-password": "Example: partstream users reset-password jane",
    "users unlock": "Example: partstream users unlock jane",
    "users list": "Example: partstream users list --json",
    "test": "Further arguments are passed to pytest.\nExample: partstream test tests/chassis -k cursor -x",
    "lint": "Exit code: 0 when every check passes, else 1.\nExample: partstream lint",
    "gen": "Example: partstream gen --locks",
    "load": "Exit code: 0 when no request failed, else 1.\nExample: partstream load --users 50 --time 1m",
    "chaos": "Exit code: 0 when no guarantee was violated, else 1.\nExample: partstream chaos stream --seeds 5",
    "bench stock": "Example: partstream bench stock --seconds 5",
    "bench large-transaction": "Example: partstream bench large-transaction --rounds 5",
    "bench edge": "Example: partstream bench edge --rounds 5",
    "bench live": "Example: partstream bench live --sockets 1000",
    "bench subscriptions": "Example: partstream bench subscriptions --sockets 50",
    "bench stream": "Example: partstream bench stream --part latency",
}


class Parser(argparse.ArgumentParser):
    """A parser without abbreviations, whose errors show the usage of the called command."""

    def __init__(self, **options: object) -> None:
        """Take the options of ``ArgumentParser``."""
        super().__init__(
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **options,  # type: ignore[arg-type]
        )

    def command(self, name: str, text: str, function: str, needs: str = RUNTIME) -> Parser:
        """Add a command; ``needs`` names the requirements it is run with."""
        made = self._commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.set_defaults(function=function, needs=needs, parser=made, extra_name=None)
        made.epilog = EPILOGS[made.prog.removeprefix(f"{PROGRAM} ")]
        return made

    def group(self, name: str, text: str) -> Parser:
        """Add a command that only holds further commands."""
        made = self._commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
        made.open_commands("ACTION" if name != "bench" else "NAME")
        return made

    def open_commands(self, metavar: str) -> None:
        """Add commands to this parser; without a command it prints its help."""
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
    up = tree.command(
        "up", "start the whole system on this machine and run it until Ctrl-C", "stack.supervision.up:run"
    )
    up.with_data_dir()
    up.add_argument("--port", type=port, default=8000, help="HTTP port of the first edge (default 8000)")
    up.add_argument(
        "--edges", type=count, default=1, metavar="N", help="edge processes, on consecutive ports (default 1)"
    )
    up.add_argument("--replicas", type=count, default=1, metavar="N", help="copies of each service (default 1)")
    up.add_argument("--empty", action="store_true", help="do not import the sample catalogue into an empty database")
    status = tree.command(
        "status", "print the processes of the running stack, their ports and health", "stack.supervision.status:run"
    ).with_data_dir()
    status.add_argument("--json", action="store_true", help="print one JSON object; it contains passwords")
    psql = tree.command("psql", "open a SQL shell on a database of the running stack", "cli.psql:run").with_data_dir()
    psql.add_argument("database", choices=DATABASES, help="name of the database")
    psql.set_defaults(extra_name="psql")


def _add_data(tree: Parser) -> None:
    load = tree.command(
        "import", "import parts, categories and stock from a file", "cli.catalogue_import.command:run"
    ).with_data_dir()
    load.add_argument("file", type=input_path, help="JSON lines or CSV, plain or gzip; - reads standard input")
    load.add_argument(
        "--check",
        action="store_true",
        help="write nothing; report what would be rejected, and which fields of existing parts would change",
    )
    load.add_argument("--clear-empty", action="store_true", help="an empty cell clears the field of an existing part")
    load.add_argument("--set-stock", action="store_true", help="also set stock levels that exist")
    load.add_argument("--currency", default="USD", type=currency, help="currency of the file's prices (default USD)")
    load.add_argument(
        "--decimal",
        choices=(".", ","),
        default="",
        help="decimal sign of numbers in texts (default: a point; 1.000 is rejected)",
    )
    load.add_argument(
        "--thousands", choices=SEPARATORS, default="", metavar="SIGN", help="thousands separator: . , ' or a space"
    )
    load.add_argument(
        "--rejects", type=Path, metavar="FILE", help="file for rejected rows (default: in the data folder)"
    )
    load.add_argument("--allow-rejects", action="store_true", help="exit with 0 although rows were rejected")
    load.add_argument(
        "--notes", type=Path, metavar="FILE", help="file for every corrected value, one JSON object per line"
    )
    replay = tree.command(
        "replay", "replay stock movements from a file and compare the final levels", "cli.replay.command:run"
    ).with_data_dir()
    replay.add_argument("file", type=input_path, help="movements as CSV, plain or gzip; - reads standard input")
    replay.add_argument("--speed", type=speed, default=None, help="max (default), or N times the original speed")
    replay.add_argument(
        "--refusals", type=Path, metavar="FILE", help="file for rejected rows (default: in the data folder)"
    )
    for command in (load, replay):
        command.add_argument("--json", type=Path, metavar="FILE", help="file for the summary as JSON")
        command.add_argument(
            "--restart", action="store_true", help="start from the first row, even after an interrupted run"
        )
        command.add_argument(
            "--patience",
            type=float,
            default=120.0,
            metavar="SECONDS",
            help="how long to retry while a service is unavailable (default 120)",
        )


def _add_operation(tree: Parser) -> None:
    events = tree.command("events", "print a service's change log", "cli.events:run").with_data_dir()
    events.add_argument("--service", choices=LOGS, default="inventory", help="service of the log (default inventory)")
    events.add_argument(
        "--from", dest="start", default="", metavar="CURSOR|TIME", help="first entry to print (default: the oldest)"
    )
    events.add_argument("--part", action="append", default=[], help="only this part; may be repeated")
    events.add_argument("--entity", default="", help="print only this kind of entity, for example stock_level")
    events.add_argument("--follow", action="store_true", help="also print new entries, until interrupted")
    events.add_argument("--json", action="store_true", help="print one JSON object per line")
    log = tree.group("log", "verify a change log or print a signed checkpoint")
    verify = log.command("verify", "verify the hash chain and compare every row with its last entry", "cli.log:verify")
    verify.add_argument("--against", type=Path, metavar="FILE", help="a signed checkpoint to compare with")
    verify.add_argument("--service", choices=LOGS, help="service of the log (default: both)")
    checkpoint = log.command("checkpoint", "print a signed checkpoint of the newest entry", "cli.log:checkpoint")
    checkpoint.add_argument("--service", choices=LOGS, required=True, help="service of the log")
    for command in (verify, checkpoint):
        command.with_data_dir()
    db = tree.group("db", "dump a database to a file or restore it while the services run")
    dump = db.command("dump", "write a consistent copy of a database to a file", "cli.db:dump_database")
    restore = db.command(
        "restore", "replace a database by a dump; its change log starts a new epoch", "cli.db:restore_database"
    )
    for command, text in ((dump, "file to write"), (restore, "file to read")):
        command.with_data_dir()
        command.add_argument("database", choices=DATABASES, help="name of the database")
        command.add_argument("file", type=Path, help=text)
    restore.add_argument(
        "--audit-wait",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait until the audit trail has the last entries of the log (default 10)",
    )
    completion = tree.command("completion", "print a completion script for a shell", "cli.completion:run")
    completion.add_argument("shell", choices=SHELLS, help="name of the shell")


def _add_accounts(tree: Parser) -> None:
    keys = tree.group("keys", "replace the credentials of the processes")
    rotate = keys.command("rotate", "replace the signing keys of the processes", "cli.keys:rotate").with_data_dir()
    rotate.add_argument("--process", action="append", choices=PROCESSES, help="process (default: all); may be repeated")
    rotate.add_argument("--revoke", action="store_true", help="reject the old keys immediately, not after an hour")
    token = tree.command("token", "sign in to the running stack and print an access token", "cli.accounts:token")
    token.with_data_dir()
    token.add_argument("--user", metavar="NAME", help="account to sign in as (default: the first administrator)")
    token.add_argument("--role", metavar="ROLE", help="limit the token to one role of the account")
    users = tree.group("users", "create, unlock and list accounts, and reset passwords")
    create = users.command("create", "create an account and print its password", "cli.accounts:create_user")
    create.add_argument("name", help="name of the account")
    create.add_argument(
        "--role", action="append", required=True, metavar="ROLE", help="a role of the account; may be repeated"
    )
    reset = users.command(
        "reset-password",
        "change the password of an account; end its sessions and its lock-out",
        "cli.accounts:reset_password",
    )
    unlock = users.command("unlock", "end the lock-out of an account", "cli.accounts:unlock_user")
    for command in (reset, unlock):
        command.add_argument("name", help="name of the account")
    for command in (create, reset):
        command.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from standard input (default: generate one and print it once)",
        )
    listing = users.command("list", "list accounts", "cli.accounts:list_users")
    for command in (create, reset, unlock, listing):
        command.with_data_dir()
        command.add_argument("--json", action="store_true", help="print one JSON object")


def _add_development(tree: Parser) -> None:
    test = tree.command(
        "test", "run the tests on real PostgreSQL and Redis", "cli.development.run_tests:run", DEVELOPMENT
    )
    test.add_argument("--workers", type=count, default=2, metavar="N", help="parallel test processes (default 2)")
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
        help="also check that the package index has wheels for every platform",
    )
    gen = tree.command(
        "gen",
        "generate gen/, docs/map.md and docs/settings.md",
        "cli.development.generate:run",
        DEVELOPMENT,
    )
    gen.add_argument("--locks", action="store_true", help="also write the lock files; locked versions are kept")
    gen.add_argument("--upgrade", action="store_true", help="with --locks: use the newest versions")


def _add_measurements(tree: Parser) -> None:
    load = tree.command("load", "simulate shoppers who browse the running stack", "cli.load:run", DEVELOPMENT)
    load.with_data_dir()
    load.add_argument("--host", metavar="URL", help="address of the edge (default: the first edge of the stack)")
    load.add_argument("--users", type=count, default=20, help="simulated shoppers (default 20)")
    load.add_argument("--rate", type=rate, default=10.0, help="shoppers started per second (default 10)")
    load.add_argument("--time", type=duration, default="30s", help="duration, for example 30s or 5m (default 30s)")
    load.add_argument("--json", type=Path, metavar="FILE", help="file for the results as JSON")
    load.add_argument("--ui", action="store_true", help="serve the page of Locust on a local port instead")
    chaos = tree.command("chaos", "inject faults and verify the guarantees", "tests.chaos.command:run", DEVELOPMENT)
    chaos.add_argument(
        "what",
        choices=("stream", "redis", "all"),
        help="stream: order and completeness of the change stream; redis: damaged or forged values in Redis",
    )
    chaos.add_argument("--seeds", type=int, default=24, metavar="N", help="number of scenarios (default 24)")
    chaos.add_argument("--fault", default="", metavar="NAME", help="stream: only this fault, for example hang_replica")
    chaos.add_argument("--first", type=int, default=0, metavar="SEED", help="first seed (default 0)")
    chaos.add_argument("--jobs", type=count, default=1, metavar="N", help="parallel processes (default 1)")
    chaos.add_argument("--keep-going", action="store_true", help="continue after a violation")
    _add_benches(tree.group("bench", "measure a part of the system against a reference"))


def _add_benches(bench: Parser) -> None:
    stock = bench.command("stock", "measure stock writes against pgbench", "loadtests.bench.stock:run", DEVELOPMENT)
    stock.add_argument("--seconds", type=count, default=10, help="duration of each measurement (default 10)")
    stock.add_argument("--movements", type=int, default=0, help="also write N movements and measure the memory")
    large = bench.command(
        "large-transaction",
        "measure writes during an UPDATE of many rows",
        "loadtests.bench.large_transaction:run",
        DEVELOPMENT,
    )
    large.add_argument("--rows", type=count, default=30_000, help="rows of the UPDATE (default 30,000)")
    large.add_argument("--rounds", type=count, default=3, help="rounds; medians are shown (default 3)")
    edge = bench.command(
        "edge", "measure reads of an edge against a route without logic", "loadtests.bench.edge:run", DEVELOPMENT
    )
    edge.add_argument("--seconds", type=float, default=2.0, help="duration of each measurement (default 2)")
    edge.add_argument("--rounds", type=count, default=3, help="rounds in turn; medians are shown (default 3)")
    edge.add_argument("--connections", type=count, default=16, help="parallel connections (default 16)")
    live = bench.command(
        "live",
        "measure one change sent to thousands of WebSockets of the running edge",
        "loadtests.bench.live:run",
        DEVELOPMENT,
    )
    live.add_argument("--sockets", type=count, default=4_000, help="open sockets, at most 10,000 (default 4,000)")
    live.add_argument("--changes", type=count, default=5, help="changes per round (default 5)")
    live.add_argument("--rounds", type=count, default=12, help="rounds (default 12)")
    subscriptions = bench.command(
        "subscriptions",
        "measure how a client with many subscriptions slows other clients",
        "loadtests.bench.subscriptions:run",
        DEVELOPMENT,
    )
    subscriptions.add_argument("--sockets", type=count, default=100, help="sockets of the load (default 100)")
    subscriptions.add_argument("--subscriptions", type=count, default=20, help="subscriptions per socket (default 20)")
    subscriptions.add_argument("--parts", type=count, default=200, help="parts per subscription (default 200)")
    subscriptions.add_argument("--seconds", type=count, default=8, help="duration of each measurement (default 8)")
    for command in (edge, live, subscriptions):
        command.with_data_dir()
    stream = bench.command(
        "stream",
        "measure the change stream: latency, fan-out, catch-up, memory",
        "loadtests.bench.stream:run",
        DEVELOPMENT,
    )
    stream.add_argument("--part", choices=STREAM_PARTS, action="append", help="only this part; may be repeated")
    stream.add_argument("--scale", type=float, default=1.0, help="factor for the size of each measurement (default 1)")
