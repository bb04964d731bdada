"""``users``: accounts, passwords and lock-outs without REST, by the same rules."""

import httpx
import pytest

from chassis.database import Database
from tests.edge.conftest import ADMIN, PASSWORD
from tests.edge.identity.operator_command import OperatorCommand

CLERK = {"username": "clerk", "password": "a long password", "roles": ["stock_manager"]}


async def sign_in(client: httpx.AsyncClient, username: str, password: str) -> httpx.Response:
    return await client.post("/auth/login", json={"username": username, "password": password})


async def events(admin: httpx.AsyncClient, kind: str) -> list[dict[str, str]]:
    """Return the details of the events of a kind, newest first, without the operating system user."""
    items = (await admin.get("/admin/security-events", params={"kind": kind})).json()["items"]
    assert all(item["details"].pop("os_user") for item in items)
    return [item["details"] for item in items]


async def test_generated_password_is_the_last_line_and_signs_in(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, operator: OperatorCommand
) -> None:
    done = await operator("users", "create", "clerk", "--role", "support", "--role", "auditor", "--role", "support")

    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[:-1] == [
        "Created user clerk with roles support, auditor. The password is shown only now:"
    ]
    assert len(done.last_line) == 20
    assert (await sign_in(client, "clerk", done.last_line)).status_code == 200
    assert await events(admin, "user_created") == [{"user": "clerk", "roles": "support,auditor", "source": "cli"}]


@pytest.mark.parametrize("line_end", [b"", b"\n", b"\r\n"])
async def test_password_on_standard_input_is_not_printed(
    client: httpx.AsyncClient, operator: OperatorCommand, line_end: bytes
) -> None:
    done = await operator(
        *("users", "create", "clerk", "--role", "support", "--password-stdin"),
        stdin="pässwörd mit Ümläüt".encode() + line_end,
    )

    assert (done.code, done.out) == (0, "Created user clerk with roles support.\n")
    assert (await sign_in(client, "clerk", "pässwörd mit Ümläüt")).status_code == 200


async def test_each_command_prints_one_json_object(admin: httpx.AsyncClient, operator: OperatorCommand) -> None:
    created = (await operator("users", "create", "clerk", "--role", "support", "--json")).json()
    given = (
        await operator("users", "reset-password", "clerk", "--password-stdin", "--json", stdin=b"a long password")
    ).json()
    generated = (await operator("users", "reset-password", "clerk", "--json")).json()
    unlocked = (await operator("users", "unlock", "clerk", "--json")).json()
    listed = (await operator("users", "list", "--json")).json()

    view = {name: value for name, value in created.items() if name != "password"}
    assert (view["username"], view["roles"], view["disabled_at"]) == ("clerk", ["support"], None)
    assert given == view
    assert generated == {**view, "password": generated["password"]}
    assert created["password"] != generated["password"]
    assert unlocked == {**view, "failed_attempts": 0}
    assert listed == (await admin.get("/admin/users")).json()


async def test_reset_ends_sessions_and_refresh_tokens_and_the_old_password(
    client: httpx.AsyncClient, admin: httpx.AsyncClient, operator: OperatorCommand
) -> None:
    await admin.post("/admin/users", json=CLERK)
    grant = (await sign_in(client, "clerk", CLERK["password"])).json()  # type: ignore[arg-type]

    done = await operator("users", "reset-password", "Clerk")

    assert (done.code, done.err) == (0, "")
    access = await client.get("/auth/session", headers={"Authorization": f"Bearer {grant['access_token']}"})
    refresh = await client.post("/auth/refresh", json={"refresh_token": grant["refresh_token"]})
    assert (access.status_code, access.json()["reason"]) == (401, "TOKEN_REVOKED")
    assert (refresh.status_code, refresh.json()["reason"]) == (401, "TOKEN_REVOKED")
    assert (await sign_in(client, "clerk", CLERK["password"])).status_code == 401  # type: ignore[arg-type]
    assert (await sign_in(client, "clerk", done.last_line)).status_code == 200
    (event,) = await events(admin, "user_changed")
    assert (event["user"], event["password"], event["source"]) == ("clerk", "changed", "cli")


async def lock_out(client: httpx.AsyncClient) -> None:
    """Use up the free attempts of the administrator, so that the right password is not tried either."""
    for _ in range(5):
        assert (await sign_in(client, "Admin", "a wrong password")).status_code == 401
    assert (await sign_in(client, ADMIN, PASSWORD)).status_code == 429


async def test_reset_ends_a_lock_out(client: httpx.AsyncClient, operator: OperatorCommand) -> None:
    await lock_out(client)

    done = await operator("users", "reset-password", ADMIN)

    assert (await sign_in(client, ADMIN, done.last_line)).status_code == 200


async def test_unlock_ends_a_lock_out(client: httpx.AsyncClient, operator: OperatorCommand, database: Database) -> None:
    await database.pool.execute(
        "INSERT INTO login_attempt (username, client_ip, succeeded) VALUES ('clerk', '192.0.2.1', false)"
    )
    await lock_out(client)

    done = await operator("users", "unlock", "ADMIN")

    assert (done.code, done.out) == (0, "Cleared 5 failed attempts of user admin.\n")
    admitted = await sign_in(client, ADMIN, PASSWORD)
    assert admitted.status_code == 200
    client.headers["Authorization"] = f"Bearer {admitted.json()['access_token']}"
    assert await events(client, "user_unlocked") == [{"user": "admin", "failed_attempts": "5", "source": "cli"}]
    assert await database.pool.fetchval("SELECT count(*) FROM login_attempt WHERE username = 'clerk'") == 1


async def test_list_shows_every_user_by_name(
    admin: httpx.AsyncClient, operator: OperatorCommand, database: Database
) -> None:
    await admin.post("/admin/users", json=CLERK)
    # The schema does not restrict roles: a person at psql can store any text.
    await database.pool.execute(
        """INSERT INTO "user" (username, password_hash, roles, disabled_at)
        VALUES ('zoe', '', ARRAY[E'a\x1b[31m\nb'], now()), ('guest', '', '{}', NULL)"""
    )

    done = await operator("users", "list")

    assert done.code == 0
    assert done.out.splitlines() == [
        "admin  enabled   admin",
        "clerk  enabled   stock_manager",
        "guest  enabled   no role",
        "zoe    disabled  a\\x1b[31m\\nb",
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["create", "ADMIN", "--role", "support"], "The user name ADMIN is already taken."),
        (
            ["create", "a b\x1b", "--role", "support"],
            '"a b\\x1b" is not a valid name: use 1 to 64 of A-Z a-z 0-9 . _ @ and -.',
        ),
        (
            ["create", "bob\n", "--role", "support"],
            '"bob\\n" is not a valid name: use 1 to 64 of A-Z a-z 0-9 . _ @ and -.',
        ),
        (
            ["create", "bob", "--role", "service"],
            'There is no role "service". Roles: customer, support, stock_manager, content_editor, auditor, admin.',
        ),
        (["reset-password", "ghost"], 'There is no user "ghost".'),
        (["unlock", "gh\x9bost"], 'There is no user "gh\\x9bost".'),
    ],
)
async def test_an_invalid_call_is_one_error_line(operator: OperatorCommand, arguments: list[str], line: str) -> None:
    done = await operator("users", *arguments)

    assert (done.code, done.out, done.err) == (1, "", f"{line}\n")


@pytest.mark.parametrize(
    ("password", "line"),
    [
        (b"short", "A password has 12 to 200 characters."),
        (b"", "A password must not be blank."),
        (b"x" * 201, "A password has 12 to 200 characters."),
        (b"two lines\nof text", "Standard input must be one line of UTF-8 text: the password."),
        (b"a NUL \0 inside", "Standard input must be one line of UTF-8 text: the password."),
        (b"latin \xe4\xe4\xe4", "Standard input must be one line of UTF-8 text: the password."),
    ],
)
async def test_a_password_must_satisfy_the_rules_of_the_api(
    client: httpx.AsyncClient, operator: OperatorCommand, password: bytes, line: str
) -> None:
    done = await operator("users", "reset-password", ADMIN, "--password-stdin", stdin=password)

    assert (done.code, done.out, done.err) == (1, "", f"{line}\n")
    assert (await sign_in(client, ADMIN, PASSWORD)).status_code == 200


async def test_api_rejects_a_name_with_a_line_feed_at_its_end(admin: httpx.AsyncClient) -> None:
    """``$`` in a pattern matches before it, and then the constraint of the table fails with a 500."""
    rejected = await admin.post("/admin/users", json={**CLERK, "username": "clerk\n"})

    assert rejected.status_code == 422
