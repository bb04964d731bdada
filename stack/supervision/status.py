"""``./partstream status``: the processes of the running stack and their current health."""

import argparse
import json
from concurrent.futures import ThreadPoolExecutor

from chassis.logs import visible
from stack import stack_state
from stack.errors import StackNotRunning
from stack.stack_state import ProcessState, StackState
from stack.supervision.firing_alerts import firing
from stack.supervision.leftovers import is_alive
from stack.supervision.probes import is_healthy


def run(given: argparse.Namespace) -> int:
    """Print the state; return 0 when everything is healthy.

    A process is ``healthy``, or ``starting`` while the stack comes up; later ``unhealthy``, or ``down``: not there.
    """
    try:
        state = stack_state.read_running(stack_state.data_folder(given.data_dir), half_started=True)
    except StackNotRunning:
        if given.json:
            print(json.dumps(_report(stack_state.StackState(0), {}), indent=2))
        raise
    health = _ask(state)
    if given.json:
        print(json.dumps(_report(state, health), indent=2))
    else:
        _print_table(state, health)
    return 0 if health and all(word == "healthy" for word in health.values()) else 1


def _ask(state: StackState) -> dict[str, str]:
    with ThreadPoolExecutor() as threads:
        words = list(threads.map(lambda process: _health(process, complete=state.complete), state.processes))
    return {process.name: word for process, word in zip(state.processes, words, strict=True)}


def _health(process: ProcessState, *, complete: bool) -> str:
    if is_alive(process) and is_healthy(process):
        return "healthy"
    if not complete and not process.ready:
        return "starting"
    return "unhealthy" if is_alive(process) else "down"


def _report(state: StackState, health: dict[str, str]) -> dict[str, object]:
    return {
        "processes": [
            {"name": process.name, "pid": process.pid, "ports": process.ports, "health": health[process.name]}
            for process in state.processes
        ],
        "databases": state.databases,
        "settings": state.settings,
        "alerts": firing(state.databases),
    }


def _print_table(state: StackState, health: dict[str, str]) -> None:
    width = max((len(_ports(process)) for process in state.processes), default=0) + 2
    print(f"{'process':<14}{'pid':>8}  {'ports':<{width}}health")
    for process in state.processes:
        print(visible(f"{process.name:<14}{process.pid or '-':>8}  {_ports(process):<{width}}{health[process.name]}"))
    for alert in firing(state.databases):
        print(visible(f"alert {alert['severity']}: {alert['name']} {alert['subject']} since {alert['fired_at']}"))


def _ports(process: ProcessState) -> str:
    return ",".join(map(str, process.ports)) or "-"
