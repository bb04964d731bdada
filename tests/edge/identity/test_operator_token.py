"""``token``: a session without a password, for a holder of the signing key and the database."""

import base64
import getpass
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from chassis.database import Database
from edge.identity.roles import ROLES
from stack.servers.ports import LOOPBACK, free_port
from tests.edge.conftest import ADMIN
from tests.edge.identity.operator_command import OperatorCommand

CLERK = {"username": "clerk", "password": "a long password", "roles": ["stock_manager", "support"]}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    decoded: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return decoded


async def test_token_alone_is_printed_and_opens_the_admin_routes(
    client: httpx.AsyncClient, operator: OperatorCommand
) -> None:
    done = await operator("token")

    token = done.out.removesuffix("\n")
    assert (done.code, done.err) == (0, "")
    assert claims(token)["name"] == ADMIN
    assert 599 <= claims(token)["exp"] - claims(token)["iat"] <= 600
    assert (await client.get("/admin/users", headers=bearer(token))).status_code == 200


async def test_session_is_listed_expires_with_its_token_and_can_be_revoked(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, operator: OperatorCommand, database: Database
) -> None:
    token = (await operator("token")).last_line

    (session,) = [
        item
        for item in (await admin.get("/admin/sessions")).json()["items"]
        if item["user_agent"] == "partstream token"
    ]
    seconds = await database.pool.fetchval(
        "SELECT extract(epoch FROM expires_at - created_at)::int FROM session WHERE session_id = $1",
        session["session_id"],
    )
    ended = await admin.delete(f"/admin/sessions/{session['session_id']}")

    assert session["session_id"] == claims(token)["sid"]
    assert seconds == 600
    assert ended.status_code == 204
    refused = await client.get("/admin/users", headers=bearer(token))
    assert (refused.status_code, refused.json()["reason"]) == (401, "TOKEN_REVOKED")


async def test_issue_is_a_security_event_with_source_cli(admin: httpx.AsyncClient, operator: OperatorCommand) -> None:
    token = (await operator("token", "--role", "auditor")).last_line

    (event,) = (await admin.get("/admin/security-events", params={"kind": "token_issued"})).json()["items"]
    assert (event["username"], event["session_id"]) == (ADMIN, claims(token)["sid"])
    assert event["details"] == {"roles": "auditor", "source": "cli", "os_user": getpass.getuser()}


async def test_a_token_with_a_role_has_only_the_permissions_of_that_role(
    client: httpx.AsyncClient, operator: OperatorCommand
) -> None:
    token = (await operator("token", "--role", "auditor")).last_line

    denied = await client.get("/admin/users", headers=bearer(token))
    allowed = await client.get("/admin/audit", headers=bearer(token))
    shown = (await client.get("/auth/session", headers=bearer(token))).json()

    assert (denied.status_code, denied.json()["metadata"]) == (403, {"permission": "users:read"})
    assert allowed.status_code == 200
    assert shown["roles"] == ["auditor"]
    assert "users:write" not in shown["permissions"]


async def test_token_of_another_user_has_its_roles_or_one_of_them(
    admin: httpx.AsyncClient, operator: OperatorCommand
) -> None:
    await admin.post("/admin/users", json=CLERK)

    every = claims((await operator("token", "--user", "CLERK")).last_line)
    one = claims((await operator("token", "--user", "clerk", "--role", "support")).last_line)

    assert (every["name"], every["roles"]) == ("clerk", ["stock_manager", "support"])
    assert "stock:write" in every["perms"]
    assert (one["roles"], one["perms"]) == (["support"], ["content:read", "stock:read"])


async def test_default_is_the_first_administrator_that_is_enabled(
    admin: httpx.AsyncClient, operator: OperatorCommand, database: Database
) -> None:
    await admin.post("/admin/users", json={**CLERK, "username": "a-later-admin", "roles": ["admin"]})
    first = claims((await operator("token")).last_line)["name"]
    await database.pool.execute('UPDATE "user" SET disabled_at = now() WHERE username = $1', ADMIN)
    second = claims((await operator("token")).last_line)["name"]
    await database.pool.execute('ALTER TABLE "user" DISABLE TRIGGER USER')  # the table keeps an administrator
    await database.pool.execute('UPDATE "user" SET disabled_at = now()')
    none = await operator("token")

    assert (first, second) == (ADMIN, "a-later-admin")
    assert (none.code, none.out) == (1, "")
    assert none.err == "There is no enabled user with the role admin: name a user with --user.\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--user", "ghost"], 'There is no user "ghost".'),
        (["--user", ""], 'There is no user "".'),
        (["--user", "admin\n"], 'There is no user "admin\\n".'),
        (["--user", "a\x1b[31mb\u202e"], 'There is no user "a\\x1b[31mb\\u202e".'),
        (["--user", "disabled"], 'The user "disabled" is disabled.'),
        (["--user", "clerk", "--role", "admin"], 'The user "clerk" does not have the role admin. Its roles: support.'),
        (
            ["--user", "clerk", "--role", "king\x07"],
            f'There is no role "king\\x07". Roles: {", ".join(ROLES)}.',
        ),
    ],
)
async def test_an_invalid_call_is_one_error_line(
    operator: OperatorCommand, database: Database, arguments: list[str], line: str
) -> None:
    await database.pool.execute(
        """INSERT INTO "user" (username, password_hash, roles, disabled_at)
        VALUES ('clerk', '', '{support}', NULL), ('disabled', '', '{admin}', now())"""
    )

    done = await operator("token", *arguments)

    assert (done.code, done.out, done.err) == (1, "", f"{line}\n")
    assert await database.pool.fetchval("SELECT count(*) FROM session") == 0


async def test_database_that_is_unavailable_is_one_line(operator: OperatorCommand) -> None:
    url = f"postgresql://role:not-to-be-shown@{LOOPBACK}:{free_port()}/none"
    unreachable = OperatorCommand({**operator.settings, "PARTSTREAM_EDGE_DATABASE_URL": url})

    done = await unreachable("token")

    assert (done.code, done.out) == (1, "")
    assert done.err == "The database of users is unavailable: check that the stack is running, then retry.\n"


async def test_database_without_tables_is_one_line(operator: OperatorCommand, empty_dsn: str) -> None:
    empty = OperatorCommand({**operator.settings, "PARTSTREAM_EDGE_DATABASE_URL": empty_dsn})

    done = await empty("users", "list")

    assert (done.code, done.err) == (1, "The database of users has no tables: migrate it first.\n")


async def test_file_that_is_no_signing_key_is_one_line(operator: OperatorCommand, tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_text("no key")
    keyless = OperatorCommand({**operator.settings, "PARTSTREAM_SIGNING_KEY_FILE": str(file)})

    done = await keyless("token")

    assert (done.code, done.err) == (1, f"The signing key cannot be read from {file}.\n")


async def test_all_missing_settings_are_reported_together(operator: OperatorCommand) -> None:
    done = await OperatorCommand({})("token")

    assert done.code == 2
    assert [line.split()[0] for line in done.err.splitlines()[1:]] == [
        "PARTSTREAM_EDGE_DATABASE_URL",
        "PARTSTREAM_SIGNING_KEY_FILE",
    ]


@pytest.mark.parametrize(
    ("redirection", "line"),
    [
        (">/dev/full", "Standard output cannot be written: No space left on device."),
        (">&-", "Standard output is closed."),
    ],
)
async def test_output_that_cannot_be_written_is_one_line(
    operator: OperatorCommand, redirection: str, line: str
) -> None:
    done = await OperatorCommand(operator.settings, redirection)("token")

    assert (done.code, done.err) == (1, f"{line}\n")


async def test_many_tokens_do_not_end_a_longer_session(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, operator: OperatorCommand, database: Database
) -> None:
    """A script that issues a token for each call must not sign its operator out of the browser."""
    begin_many = """
    INSERT INTO session (user_id, expires_at) SELECT user_id, now() + interval '5 minutes'
    FROM "user", generate_series(1, 60) WHERE username = $1
    """
    await database.pool.execute(begin_many, ADMIN)

    token = (await operator("token")).last_line

    open_sessions = await database.pool.fetchval("SELECT count(*) FROM session WHERE revoked_at IS NULL")
    assert open_sessions == 50
    assert (await client.get("/admin/users", headers=bearer(token))).status_code == 200
    assert (await admin.get("/admin/users")).status_code == 200
