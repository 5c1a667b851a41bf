"""The `/__sim/...` endpoints: look at a running simulation and change it, from any language.

They are answered to clients on this machine only, and to no web page: they show prompts.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from sdk_workflow._internal.clock import VirtualClock
from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import UsageError
from sdk_workflow.simulator.errors import ApiError
from sdk_workflow.simulator.fault_spec import parse_faults
from sdk_workflow.simulator.faults import FaultPlan
from sdk_workflow.simulator.option_tables import check_keys, is_file_name, number
from sdk_workflow.simulator.script_file import parse_script
from sdk_workflow.simulator.steps import Answer
from sdk_workflow.simulator.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sdk_workflow.simulator.simulation import Simulation

__all__ = ["CONTROL_PREFIX", "control", "is_local"]

PartT = TypeVar("PartT")

CONTROL_PREFIX = "/__sim/"
_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "::1", ""})
_CLIENTS = frozenset({"127.0.0.1", "::1", "::ffff:127.0.0.1"})


def is_local(client_host: str | None, headers: Mapping[str, str]) -> bool:
    """Return whether a request comes from this machine, and from no web page.

    A page that resolves its own name to this machine shows in `host`, one that asks across origins
    in `origin`.

    Args:
        client_host: The address of the client; None where there is no connection.
        headers: Names in lower case.
    """
    host = headers.get("host", "").lower()
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    is_here = client_host is None or client_host in _CLIENTS
    return is_here and name in _HOSTS and "origin" not in headers


def control(simulation: Simulation, method: str, target: str, body: bytes) -> Answer:
    """Answer one request for control."""
    parts = urlsplit(target)
    name = parts.path.removeprefix(CONTROL_PREFIX)
    action = _ACTIONS.get((method, name))
    try:
        if action is None:
            raise _unknown(method, name)
        value = _decoded(body)
        return _answer(200, action(simulation, value, dict(parse_qsl(parts.query))))
    except UsageError as error:
        text = f"{error.message} {error.hint}".rstrip()
        refusal = ApiError(400, "invalid_request_error", text)
    except ApiError as error:
        refusal = error
    return _answer(refusal.status, refusal.envelope())


def _answer(status: int, body: Mapping[str, Any]) -> Answer:
    return Answer(status, {"content-type": "application/json"}, body)


def _unknown(method: str, name: str) -> ApiError:
    names = sorted({known for _, known in _ACTIONS})
    if name in names:
        methods = sorted(verb for verb, known in _ACTIONS if known == name)
        return ApiError(
            405,
            "invalid_request_error",
            f"{method} {CONTROL_PREFIX}{name}: use {' or '.join(methods)}.",
        )
    guess = did_you_mean(name, names)
    return ApiError(
        404,
        "not_found_error",
        f"{CONTROL_PREFIX}{name} does not exist. {guess} There are {', '.join(names)}.",
    )


def _decoded(body: bytes) -> Any:
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"The body is not valid JSON: {error}.") from error


def _get_journal(simulation: Simulation, _body: Any, query: Mapping[str, str]) -> dict[str, Any]:
    journal = _required(simulation.journal, "journal")
    return journal.to_json(with_prompts=query.get("prompts") in {"1", "true"})


def _delete_journal(simulation: Simulation, _body: Any, _query: Any) -> dict[str, Any]:
    _required(simulation.journal, "journal").clear()
    return {"count": 0}


def _get_verdict(simulation: Simulation, _body: Any, query: Mapping[str, str]) -> dict[str, Any]:
    journal = _required(simulation.journal, "journal")
    budget = number("verdict.budget_usd", query["budget_usd"]) if "budget_usd" in query else None
    return judge(
        journal,
        now=simulation.clock.now(),
        accepted=query.get("accepted", "").split(","),
        budget_usd=budget,
    ).to_json()


def _get_script(simulation: Simulation, _body: Any, _query: Any) -> dict[str, Any]:
    script = _required(simulation.script, "script")
    return {
        "replies": len(script.replies),
        "remaining": script.remaining,
        "unmatched": script.unmatched,
    }


def _post_script(simulation: Simulation, body: Any, query: Any) -> dict[str, Any]:
    if isinstance(body, str):
        raise UsageError("The body names a file.", hint="Send the script itself.")
    _required(simulation.script, "script").replace_with(parse_script(body))
    return _get_script(simulation, body, query)


def _delete_script(simulation: Simulation, body: Any, query: Any) -> dict[str, Any]:
    _required(simulation.script, "script").replace_with(parse_script({"unmatched": "rules"}))
    return _get_script(simulation, body, query)


def _get_clock(simulation: Simulation, _body: Any, _query: Any) -> dict[str, Any]:
    clock = simulation.clock
    return {"now": clock.now(), "is_virtual": isinstance(clock, VirtualClock)}


def _post_clock(simulation: Simulation, body: Any, query: Any) -> dict[str, Any]:
    table = check_keys("clock", body, ("advance",))
    seconds = number("clock.advance", table.get("advance"))
    if not isinstance(simulation.clock, VirtualClock):
        raise UsageError(
            "This simulation runs on the machine's clock.",
            hint="Build it with a VirtualClock to move its time.",
        )
    simulation.clock.advance(seconds)
    return _get_clock(simulation, body, query)


def _get_faults(simulation: Simulation, _body: Any, _query: Any) -> dict[str, Any]:
    plan = simulation.faults or FaultPlan()
    return {
        "faults": [rule.fault.kind for rule in plan.rules],
        "script": [None if fault is None else fault.kind for fault in plan.script],
        "seed": plan.seed,
    }


def _post_faults(simulation: Simulation, body: Any, query: Any) -> dict[str, Any]:
    if isinstance(body, str) and is_file_name(body):
        raise UsageError("The body names a file.", hint="Send the faults themselves.")
    simulation.faults = parse_faults(body, seed=simulation.seed)
    return _get_faults(simulation, body, query)


def _delete_faults(simulation: Simulation, body: Any, query: Any) -> dict[str, Any]:
    simulation.faults = None
    return _get_faults(simulation, body, query)


def _delete_threads(simulation: Simulation, _body: Any, _query: Any) -> dict[str, Any]:
    simulation.engine.threads.lose()
    return {"threads": 0}


def _post_reset(simulation: Simulation, _body: Any, _query: Any) -> dict[str, Any]:
    simulation.reset()
    return {"reset": True}


def _required(part: PartT | None, name: str) -> PartT:
    if part is None:
        raise UsageError(f"This simulation has no {name}.", hint="Make it with `Simulation.build`.")
    return part


_ACTIONS: dict[
    tuple[str, str], Callable[[Simulation, Any, Mapping[str, str]], Mapping[str, Any]]
] = {
    ("GET", "journal"): _get_journal,
    ("DELETE", "journal"): _delete_journal,
    ("GET", "verdict"): _get_verdict,
    ("GET", "script"): _get_script,
    ("POST", "script"): _post_script,
    ("DELETE", "script"): _delete_script,
    ("GET", "clock"): _get_clock,
    ("POST", "clock"): _post_clock,
    ("GET", "faults"): _get_faults,
    ("POST", "faults"): _post_faults,
    ("DELETE", "faults"): _delete_faults,
    ("DELETE", "threads"): _delete_threads,
    ("POST", "reset"): _post_reset,
}
