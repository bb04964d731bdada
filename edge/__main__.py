"""The edge's command line: ``serve`` runs one edge, ``migrate`` upgrades its database.

``token`` and ``users`` are for an operator of the machine; ``./partstream`` runs them with the stack's settings.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Final

from chassis import logs
from chassis.database import Database
from chassis.entry_point import exit_code
from chassis.password_policy import weakness
from chassis.settings import SettingsError, load
from edge.identity import operator_users
from edge.identity.operator import OperatorError, Outcome
from edge.identity.operator_tokens import issue_token, revoke_key
from edge.identity.users import ensure_first_admin
from edge.settings import EdgeSettings, MigrateSettings, TokenSettings, UsersSettings

if TYPE_CHECKING:
    from collections.abc import Coroutine

PASSWORD_BYTES_READ: Final = 4096


def main() -> int:
    """Run the command that the command line names; return the exit code."""
    given = _parser().parse_args()
    return exit_code(lambda: _run(given), OperatorError)


def _run(given: argparse.Namespace) -> int:
    match given.verb:
        case "serve":
            return _serve(load(EdgeSettings))
        case "migrate":
            asyncio.run(_migrate(load(MigrateSettings)))
        case "token":
            logs.configure("edge", level="WARNING")
            _print(asyncio.run(issue_token(load(TokenSettings), given.user, given.role)))
        case "revoke-key":
            logs.configure("edge", level="WARNING")
            _print(asyncio.run(revoke_key(load(UsersSettings).database_url, given.key_id)))
        case _:
            logs.configure("edge", level="WARNING")
            outcome = asyncio.run(_users(load(UsersSettings), given))
            _print(json.dumps(outcome.document) if given.json else outcome.text)
    return 0


# The web framework and the migrations take a second to import, and an operator's command needs neither.
def _serve(settings: EdgeSettings) -> int:
    import uvloop  # noqa: PLC0415 - see above

    from edge.app import serve  # noqa: PLC0415 - see above

    return uvloop.run(serve(settings))


async def _migrate(settings: MigrateSettings) -> None:
    """Migrate, and create the first administrator if there is no user yet."""
    from chassis.migrate import migrate  # noqa: PLC0415 - see above

    logs.configure("edge", format=settings.log_format, level=settings.log_level)
    if settings.admin_password and (problem := weakness(settings.admin_password, settings.admin_username)):
        raise SettingsError([f"PARTSTREAM_ADMIN_PASSWORD is wrong: {problem}"])
    await migrate(settings.database_url, ["edge.piccolo_app"])
    database = await Database.open(settings.database_url, application_name="partstream-edge-migrate", max_size=1)
    try:
        await ensure_first_admin(database, settings.admin_username, settings.admin_password)
    finally:
        await database.close()


def _users(settings: UsersSettings, given: argparse.Namespace) -> Coroutine[None, None, Outcome]:
    dsn = settings.database_url
    match given.action:
        case "create":
            return operator_users.create_user(dsn, given.name, given.role, _password(given))
        case "reset-password":
            return operator_users.reset_password(dsn, given.name, _password(given))
        case "unlock":
            return operator_users.unlock_user(dsn, given.name)
        case _:
            return operator_users.list_users(dsn)


def _password(given: argparse.Namespace) -> str | None:
    """Return the password from standard input, one line; ``None`` when one is to be generated."""
    if not given.password_stdin:
        return None
    raw = b"" if sys.stdin is None else sys.stdin.buffer.read(PASSWORD_BYTES_READ)
    try:
        text = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = "\n"
    if set(text) & set("\r\n\0"):
        message = "Standard input must be one line of UTF-8 text: the password."
        raise OperatorError(message)
    return text


def _print(text: str) -> None:
    if sys.stdout is None:
        message = "Standard output is closed."
        raise OperatorError(message)
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        # Otherwise the interpreter tries the same again at exit, and reports that.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        message = f"Standard output cannot be written: {error.strerror}."
        raise OperatorError(message) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge", description=__doc__, allow_abbrev=False)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("serve", help="run one edge")
    verbs.add_parser("migrate", help="upgrade the database to the newest schema")
    key = verbs.add_parser("revoke-key", help="reject what is signed with the key of a process", allow_abbrev=False)
    key.add_argument("key_id", help="id of the key, as in the key set of processes")
    token = verbs.add_parser("token", help="print an access token for 10 minutes", allow_abbrev=False)
    token.add_argument("--user", metavar="NAME", help="whose token; default: the first enabled administrator")
    token.add_argument("--role", help="the one role that the token carries; default: all of the user's")
    users = verbs.add_parser("users", help="create users, reset passwords, end lock-outs, list users")
    actions = users.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="create a user", allow_abbrev=False)
    reset = actions.add_parser(
        "reset-password", help="change a password, end the user's sessions and lock-out", allow_abbrev=False
    )
    unlock = actions.add_parser("unlock", help="end the lock-out of a user", allow_abbrev=False)
    listing = actions.add_parser("list", help="list users", allow_abbrev=False)
    for action in (create, reset, unlock):
        action.add_argument("name", metavar="NAME", help="name of the user")
    create.add_argument("--role", action="append", required=True, help="a role of the user; may be repeated")
    for action in (create, reset):
        action.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the password from standard input; otherwise one is generated and printed once",
        )
    for action in (create, reset, unlock, listing):
        action.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
