"""The whole system on one machine: started in order, watched, stopped in order."""

import asyncio
import functools
import os
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chassis.process_keys import TOOLS
from chassis.settings import load
from stack import credentials, stack_state
from stack.errors import StartFailed
from stack.sample_catalogue import is_wanted
from stack.servers.databases import NAMES, ensure_databases
from stack.servers.ports import remembered_port
from stack.servers.postgres import FAST_SHUTDOWN, EmbeddedPostgres
from stack.servers.redis import EmbeddedRedis, find_server, is_ready
from stack.service_calls.service_access import ServiceSettings
from stack.stack_state import StackState
from stack.supervision import leftovers, migrations, signing_keys
from stack.supervision.banner import banner
from stack.supervision.first_admin import FirstAdmin, first_admin, was_shown
from stack.supervision.liveness import Liveness
from stack.supervision.merged_log import MergedLog
from stack.supervision.operations_ports import with_operations_ports
from stack.supervision.port_plan import PortPlan, plan_ports
from stack.supervision.stack_alerts import UNRESPONSIVE, UNRESPONSIVE_SHOWN_SECONDS, StackAlerts
from stack.supervision.stack_plan import (
    DATABASE_OWNERS,
    TASKS,
    StackFacts,
    edge_plans,
    expected,
    program,
    service_plans,
    task_plans,
)
from stack.supervision.start_steps import StartSteps
from stack.supervision.supervised_process import ProcessPlan, SupervisedProcess, run_to_end
from stack.supervision.up_settings import EMBEDDED, UpSettings

START_TIMEOUT_SECONDS = 120.0
# One that ends this often before it was ever healthy has a reason that waiting does not mend.
MOST_FAILED_STARTS = 3
POSTGRES, REDIS = "postgres", "redis"
# What a person reads while the processes of a kind start.
STEP_NAMES = {
    "inventory": "inventory service",
    "content": "content service",
    "edge": "edge",
    "worker": "worker",
    "scheduler": "scheduler",
}
NO_REDIS = (
    "running without Redis: caches live in memory only, and audit rows wait in the change logs until there is one"
)
STOP_SECONDS = 9.0
# The longest each stage may take; the last one has what the others left, so that a busy disk can finish its checkpoint.
STOP_STAGES: tuple[tuple[tuple[str, ...], float], ...] = (
    (("edge", "worker", "scheduler"), 4.0),
    (("inventory", "content"), 2.5),
    (("redis", "postgres"), STOP_SECONDS),
)


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the command line asks for."""

    data_folder: Path
    port: int
    edges: int
    replicas: int
    empty: bool


class Stack:
    """Call ``start``, then ``stop``, whatever ``start`` did. The data folder's lock must be held."""

    def __init__(self, options: UpOptions, settings: UpSettings, log: MergedLog) -> None:
        self._options = options
        self._settings = settings
        self._log = log
        self._folder = options.data_folder
        self._processes: list[SupervisedProcess] = []
        self._steps = StartSteps(log)
        self._state = StackState(os.getpid())
        self._passwords: dict[str, str] = {}
        self._alerts: StackAlerts | None = None

    async def start(self) -> None:
        """Return when everything is healthy and the banner is shown."""
        self._log.starting = True
        await self._end_leftovers()
        ports = plan_ports(self._settings, self._options.port, self._options.edges, self._options.replicas, self._log)
        tasks = () if self._settings.redis_url is None else TASKS
        ports = with_operations_ports(ports, self._settings, tasks, self._folder)
        self._announce(ports)
        self._passwords = credentials.load_or_create(self._folder, [POSTGRES, REDIS, *NAMES])
        admin_dsn = await self._find_postgres()
        redis_url = await self._start_redis()
        facts, admin = await self._prepare_databases(ports, admin_dsn, redis_url)
        self._alerts = StackAlerts(self._folder / REDIS, facts.databases["edge"], self._log)
        self._alerts.start()
        await self._run_in_steps(service_plans(facts))
        await self._run_in_steps([*edge_plans(facts), *task_plans(facts)])
        # Only now: a service takes writes once an edge has sent it what is revoked.
        await self._load_sample(facts)
        self._state.complete = True
        self._write_state()
        self._log.show(banner(facts, admin, self._folder))
        was_shown(self._folder)
        self._log.starting = False

    async def stop(self) -> None:
        """End everything in order: first who asks, last who stores."""
        self._log.stopping = True
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        if self._alerts is not None:
            await self._alerts.stop()
        for names, longest in STOP_STAGES:
            grace = min(longest, deadline - asyncio.get_running_loop().time())
            stage = [process for process in self._processes if process.plan.name.partition("-")[0] in names]
            await asyncio.gather(*(process.stop(grace) for process in stage))
        stack_state.forget(self._folder)

    def kill(self) -> None:
        """End everything at once."""
        for process in self._processes:
            process.kill()

    async def _end_leftovers(self) -> None:
        last = stack_state.read_last(self._folder)
        if last is not None and (names := await asyncio.to_thread(leftovers.end, last, self._folder)):
            self._log.say(f"ended what an earlier stack left running: {', '.join(names)}")
        stack_state.forget(self._folder)

    def _announce(self, ports: PortPlan) -> None:
        """Let ``status`` name everything from the beginning: what is there first must not look like all there is."""
        servers = []
        if self._settings.database_url is None and self._given_databases().keys() != set(NAMES):
            servers.append(POSTGRES)
        if self._settings.redis_url == EMBEDDED:
            servers.append(REDIS)
        for process in expected(servers, ports, tasks=self._settings.redis_url is not None):
            self._state.put(process)
        self._write_state()

    def _given_databases(self) -> dict[str, str]:
        return {name: os.environ[setting] for name, (_, setting) in DATABASE_OWNERS.items() if os.environ.get(setting)}

    async def _find_postgres(self) -> str | None:
        """Return the administrator's connection string; None when every database is given."""
        if self._given_databases().keys() == set(NAMES):
            self._log.say("using the databases of the PARTSTREAM_*_DATABASE_URL settings")
            return None
        if self._settings.database_url is not None:
            self._log.say("using the PostgreSQL server of PARTSTREAM_DATABASE_URL")
            return self._settings.database_url
        with self._steps.step("PostgreSQL"):
            return await self._start_postgres()

    async def _prepare_databases(
        self, ports: PortPlan, admin_dsn: str | None, redis_url: str | None
    ) -> tuple[StackFacts, FirstAdmin | None]:
        """Create and migrate the databases; return what is known of the stack and who its first administrator is."""
        with self._steps.step("databases"):
            databases = self._given_databases()
            if admin_dsn is not None:
                databases = await asyncio.to_thread(ensure_databases, admin_dsn, self._passwords) | databases
            keys = signing_keys.ensure(self._folder)
            facts = StackFacts(self._settings, ports, databases, redis_url, keys, self._folder)
            self._state.databases = dict(databases)
            own = facts.environment(
                PARTSTREAM_SIGNING_KEY_FILE=keys.signing_key, PARTSTREAM_CREDENTIAL_FILE=keys.processes.key(TOOLS)
            )
            self._state.settings = {name: value for name, value in own.items() if name.startswith("PARTSTREAM_")}
            admin = await asyncio.to_thread(
                first_admin,
                databases["edge"],
                self._settings.admin_username,
                self._settings.admin_password,
                self._folder,
            )
            await _all(self._migrate_one(facts, name, admin) for name in NAMES)
        return facts, admin

    async def _start_postgres(self) -> str:
        server = EmbeddedPostgres(self._folder / POSTGRES, password=self._passwords[POSTGRES])
        await asyncio.to_thread(server.prepare)
        port = remembered_port(self._folder, POSTGRES)
        plan = ProcessPlan(
            name=POSTGRES,
            command=server.command(port),
            environment=self._own_environment(),
            probe=POSTGRES,
            target=server.admin_dsn(port),
            ports=[port],
            stop_signal=FAST_SHUTDOWN,
        )
        await self._run_until_healthy([plan])
        return server.admin_dsn(port)

    async def _start_redis(self) -> str | None:
        if self._settings.redis_url is None:
            self._log.say(NO_REDIS)
            return None
        if self._settings.redis_url != EMBEDDED:
            self._log.say("using the Redis server of PARTSTREAM_REDIS_URL")
            return self._settings.redis_url
        server = await asyncio.to_thread(find_server)
        if server is None:
            self._state.processes = [one for one in self._state.processes if one.name not in {REDIS, *TASKS}]
            self._log.say(f"no Redis or Valkey server: install one, or set PARTSTREAM_REDIS_URL; {NO_REDIS}")
            return None
        redis = EmbeddedRedis(self._folder / REDIS, server=server, password=self._passwords[REDIS])
        port = remembered_port(self._folder, REDIS)
        redis.prepare(port)
        plan = ProcessPlan(
            name=REDIS,
            command=redis.command(),
            environment=self._own_environment(),
            probe=REDIS,
            target=redis.url(port),
            ports=[port],
            remedy=functools.partial(redis.remedy, port),
            # PostgreSQL has none: it keeps facts, and to end it by force is for a person to decide.
            liveness=Liveness(
                functools.partial(is_ready, redis.url(port)), seconds=self._settings.unresponsive_seconds
            ),
        )
        with self._steps.step("Redis"):
            await self._run_until_healthy([plan])
        return redis.url(port)

    async def _migrate_one(self, facts: StackFacts, database: str, admin: FirstAdmin | None) -> None:
        package, _ = DATABASE_OWNERS[database]
        behind = await asyncio.to_thread(migrations.is_behind, package, facts.databases[database])
        new_admin = admin if database == "edge" and admin is not None and not admin.exists else None
        if not behind and new_admin is None:
            return
        environment = facts.environment(database)
        if new_admin is not None:
            environment["PARTSTREAM_ADMIN_USERNAME"] = new_admin.username
            environment["PARTSTREAM_ADMIN_PASSWORD"] = new_admin.password
        await self._run_to_end(database, program(package, "migrate"), environment)

    async def _load_sample(self, facts: StackFacts) -> None:
        environment = facts.environment(PARTSTREAM_CREDENTIAL_FILE=facts.keys.processes.key(TOOLS))
        if self._options.empty or not await is_wanted(load(ServiceSettings, environment), self._folder):
            return
        command = program("cli.sample_catalogue", "--data-dir", str(self._folder))
        with self._steps.step("sample catalogue"):
            await self._run_to_end("sample", command, environment)

    async def _run_to_end(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        code = await run_to_end(name, command, environment, self._log)
        if code != 0:
            lines = self._log.recent(name)
            if len(lines) == 1:  # the program's own sentence
                raise StartFailed(f"{name}: {lines[0]}")
            message = f"{name} ended with code {code}."
            raise StartFailed(message, name)

    async def _run_in_steps(self, plans: Sequence[ProcessPlan]) -> None:
        """Run all at once, each kind of process a step of its own."""
        kinds: dict[str, list[ProcessPlan]] = {}
        for plan in plans:
            kinds.setdefault(plan.name.partition("-")[0], []).append(plan)
        await _all(self._run_step(STEP_NAMES[kind], copies) for kind, copies in kinds.items())

    async def _run_step(self, name: str, plans: Sequence[ProcessPlan]) -> None:
        with self._steps.step(name if len(plans) == 1 else f"{name} x {len(plans)}"):
            await self._run_until_healthy(plans)

    async def _run_until_healthy(self, plans: Sequence[ProcessPlan]) -> None:
        processes = [SupervisedProcess(plan, self._log, self._write_state, self._note_unresponsive) for plan in plans]
        self._processes += processes
        for process in processes:
            self._state.put(process.state)
            process.start()
        await _all(self._healthy(process) for process in processes)

    async def _healthy(self, process: SupervisedProcess) -> None:
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await process.until_healthy(MOST_FAILED_STARTS)
        except TimeoutError:
            message = f"{process.plan.name} did not become healthy within {START_TIMEOUT_SECONDS:.0f} s."
            raise StartFailed(message, process.plan.name) from None

    def _note_unresponsive(self, name: str) -> None:
        if self._alerts is not None:
            self._alerts.alerts.fire(UNRESPONSIVE, name, "ended and started again", seconds=UNRESPONSIVE_SHOWN_SECONDS)

    def _own_environment(self) -> dict[str, str]:
        return {**os.environ, leftovers.FOLDER_MARK: str(self._folder)}

    def _write_state(self) -> None:
        try:
            stack_state.write(self._folder, self._state)
        except OSError as error:
            # The disk is full, most likely. Other verbs see an older state; what runs goes on.
            self._log.say(f"the state of the stack could not be written: {error}")


async def _all(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do the steps at once; when one fails, end the others and raise its error as it is.

    An error raised in an ``except*`` block would leave it in a group again, which no caller looks into.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
