"""Reads a fault plan from what a user wrote.

    529@0-2                              status 529 for the first three requests
    status:status=503:retry-after=2@5    a header is a key that is no field of a fault
    truncate:after_events=4@10%          each request with a chance of one in ten
    storm:seconds=20@3-                  from the fourth request on, storms of 20 s
    stall:after_bytes=120:times=1        once

Several are separated by `;`. A list is a script: one entry per request. A table, or a file, has
`faults` (a list of tables), `script` and `seed`.
"""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.suggest import did_you_mean
from sdk_workflow.exceptions import UsageError
from sdk_workflow.simulator.faults import (
    KINDS,
    MESSAGES_PATH,
    Fault,
    FaultPlan,
    FaultRule,
    IndexRange,
    check_options,
)
from sdk_workflow.simulator.option_tables import (
    check_keys,
    is_file_name,
    load_option_file,
    number,
    whole_number,
)
from sdk_workflow.simulator.routes import FIXED_PATHS, is_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["parse_faults"]

_ADDRESS = ("requests", "probability", "path", "times")
_FAULT_KEYS = tuple(item.name for item in fields(Fault))
_KEYS = (*_FAULT_KEYS, *_ADDRESS)
_PLAN_KEYS = ("faults", "script", "seed")
_RANGE = re.compile(r"(\d+)(?:(-)(\d*))?")
_NOTHING = frozenset({"ok", "none", ""})
_LOWEST_STATUS, _HIGHEST_STATUS = 400, 599


def parse_faults(spec: Any, *, seed: int = 0) -> FaultPlan:
    """Read a plan from a line, a list (a script), a table, or the name of a JSON or TOML file.

    Args:
        spec: What is to be read; a `FaultPlan` is returned as it is.
        seed: Decides on chance where the plan names no seed of its own.

    Raises:
        UsageError: It says what is wrong, and what was probably meant.

    Example:
        >>> parse_faults("529@0-1; truncate:after_events=4@10%").rules[1].probability
        0.1
    """
    if isinstance(spec, FaultPlan):
        return spec
    if isinstance(spec, Path) or (isinstance(spec, str) and is_file_name(spec)):
        spec = load_option_file(Path(spec), "faults")
    if isinstance(spec, str):
        parts = [part.strip() for part in spec.split(";")]
        rules = [_rule(_from_line(part)) for part in parts if part]
        if not rules:
            raise UsageError("The faults are empty.", hint="Write them as in 529@0-1; truncate@5%.")
        return FaultPlan(rules, seed=seed)
    if isinstance(spec, (list, tuple)):
        return FaultPlan(script=_script(spec), seed=seed)
    table = check_keys("faults", spec, _PLAN_KEYS)
    rules = table.get("faults", [])
    if not isinstance(rules, list):
        raise UsageError("faults.faults is no list.", hint="Write one table per fault.")
    return FaultPlan(
        [_rule(_as_table(f"faults.{index}", item)) for index, item in enumerate(rules)],
        script=_script(table.get("script", [])),
        seed=whole_number("faults.seed", table.get("seed", seed)),
    )


def _script(entries: Any) -> list[Fault | None]:
    if not isinstance(entries, (list, tuple)):
        raise UsageError("faults.script is no list.", hint="Write one entry per request.")
    return [_script_entry(index, entry) for index, entry in enumerate(entries)]


def _script_entry(index: int, entry: Any) -> Fault | None:
    if entry is None or (isinstance(entry, str) and entry.strip() in _NOTHING):
        return None
    if isinstance(entry, Fault):
        return entry
    where = f"script.{index}"
    table = _as_table(where, entry)
    for name in _ADDRESS:
        if name in table:
            raise UsageError(
                f"{where} has {name!r}: the place in the list says already which request is meant.",
                hint="Move the entry to `faults`, or leave the key out.",
            )
    return _fault(where, table)


def _as_table(where: str, item: Any) -> Mapping[str, Any]:
    """Return an entry as a table: a number is a status, a line is read."""
    if isinstance(item, int) and not isinstance(item, bool):
        return {"kind": "status", "status": item}
    if isinstance(item, str):
        return _from_line(item)
    return check_keys(where, item, _KEYS)


def _from_line(line: str) -> dict[str, Any]:
    head, at, address = line.partition("@")
    name, *pairs = (part.strip() for part in head.split(":"))
    table: dict[str, Any] = {"kind": name}
    if name.isdecimal():
        table = {"kind": "status", "status": name}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(
                f"The fault {line!r} has {pair!r} where `key=value` was expected.",
                hint="Write it as in stall:after_events=4@2.",
            )
        _put(table, line, key.strip(), value.strip())
    if at:
        _add_address(table, line, address.strip())
    return table


def _put(table: dict[str, Any], line: str, key: str, value: str) -> None:
    if key in _KEYS and key != "headers":
        table[key] = value
    elif "-" in key:
        table.setdefault("headers", {})[key.lower()] = value
    else:
        raise UsageError(
            f"The fault {line!r} has the unknown key {key!r}.",
            hint=f"{did_you_mean(key, _KEYS)} A header has a dash in its name.".lstrip(),
        )


def _add_address(table: dict[str, Any], line: str, address: str) -> None:
    if address.endswith("%"):
        share = number(f"The chance of the fault {line!r}", address[:-1], maximum=100)
        table["probability"] = share / 100
    else:
        table["requests"] = address


def _rule(table: Mapping[str, Any]) -> FaultRule:
    kind = table.get("kind")
    where = f"The fault {kind!r}"
    requests = table.get("requests")
    return FaultRule(
        fault=_fault(where, {key: table[key] for key in table if key not in _ADDRESS}),
        requests=None if requests is None else _ranges(where, requests),
        probability=number(f"{where}: probability", table.get("probability", 1), maximum=1),
        path=_path(where, table.get("path", MESSAGES_PATH)),
        times=_times(where, table.get("times")),
    )


def _path(where: str, path: Any) -> str:
    found = path.removesuffix("/") if isinstance(path, str) else path
    if not isinstance(found, str) or not is_endpoint(found):
        raise UsageError(
            f"{where}: there is no endpoint {path!r} that it could strike.",
            hint=f"{did_you_mean(str(found), FIXED_PATHS)} "
            f"The endpoints are {', '.join(FIXED_PATHS)}.".lstrip(),
        )
    return found


def _times(where: str, times: Any) -> int | None:
    return None if times is None else whole_number(f"{where}: times", times, minimum=1)


def _ranges(where: str, requests: Any) -> tuple[IndexRange, ...]:
    if isinstance(requests, int) and not isinstance(requests, bool):
        requests = str(requests)
    parts = requests.split(",") if isinstance(requests, str) else requests
    if not isinstance(parts, (list, tuple)) or not parts:
        raise _no_range(where, requests)
    return tuple(_range(where, str(part).strip()) for part in parts)


def _range(where: str, text: str) -> IndexRange:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise _no_range(where, text)
    first, dash, last = match.groups()
    if not dash:
        return IndexRange(int(first), int(first))
    return IndexRange(int(first), int(last) if last else None)


def _no_range(where: str, text: Any) -> UsageError:
    return UsageError(
        f"{where}: {text!r} names no requests.",
        hint="Count from 0 and write 3, 0-2, 5- or 1,4,7-9.",
    )


def _fault(where: str, table: Mapping[str, Any]) -> Fault:
    if "kind" not in table:
        raise UsageError(f"{where} has no kind.", hint=f"The kinds are {', '.join(KINDS)}.")
    values: dict[str, Any] = {}
    for name, value in table.items():
        if value is not None:
            read: Callable[[str, Any], Any] = _READERS.get(name, _text)
            values[name] = read(f"{where}: {name}", value)
    if values["kind"] in KINDS:
        check_options(values["kind"], [name for name in values if values[name] is not False])
    return Fault(**values)


def _text(where: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where} is {value!r}.", hint="Give text.")
    return value


def _status(where: str, value: Any) -> int:
    status = whole_number(where, value)
    if not _LOWEST_STATUS <= status <= _HIGHEST_STATUS:
        raise UsageError(f"{where} is {status}.", hint="An error status is from 400 to 599.")
    return status


def _headers(where: str, value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is {value!r}.", hint="Give a table of names and values.")
    return {str(name).lower(): str(content) for name, content in value.items()}


def _flag(where: str, value: Any) -> bool:
    if str(value).lower() not in {"true", "false"}:
        raise UsageError(f"{where} is {value!r}.", hint="Give true or false.")
    return str(value).lower() == "true"


_READERS: dict[str, Callable[[str, Any], Any]] = {
    "status": _status,
    "headers": _headers,
    "seconds": number,
    "after_events": whole_number,
    "after_bytes": whole_number,
    "before_headers": _flag,
}
