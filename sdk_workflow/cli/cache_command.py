"""`sdk_workflow cache`: what a cache folder holds, saved, and would answer."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from sdk_workflow.cli.console import printable
from sdk_workflow.cli.event_loop import run_async
from sdk_workflow.cli.exit_codes import ExitCode
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sdk_workflow.cli.console import Console
    from sdk_workflow.core.cache_manager import CacheManager
    from sdk_workflow.core.caching.lookup import CacheExplanation
    from sdk_workflow.core.caching.totals import CacheTotals
    from sdk_workflow.core.caching.warming import WarmProgress, WarmReport
    from sdk_workflow.runtime import Runtime

__all__ = ["clear", "explain", "show_stats", "warm"]

SCHEMA = "sdk_workflow.cache/1"
_MAX_TEXT = 200


def show_stats(console: Console, flags: Mapping[str, Any], *, as_json: bool) -> ExitCode:
    """Write what the folder holds and what it saved over all processes."""
    from sdk_workflow.core.caching.totals import read_totals

    runtime = _runtime(flags)
    folder, cache = _opened(runtime)
    report = cache.get_cache_report()
    totals = read_totals(folder)
    size = sum(item.stat().st_size for item in folder.iterdir() if item.is_file())
    entries = {str(name): tier["entries"] for name, tier in report["tiers"].items()}
    if as_json:
        facts = {"folder": str(folder), "bytes": size, "entries": entries, "totals": totals}
        console.result(json.dumps({"schema": SCHEMA, **facts}, indent=2, ensure_ascii=False))
        return ExitCode.OK
    console.result(f"folder     {folder} ({size:,} bytes)")
    console.result(f"entries    {_counts(entries)}")
    for line in _totals_lines(totals):
        console.result(line)
    if report["refused_files"]:
        console.problem("The file of this folder could not be used; it was moved aside.")
    return ExitCode.OK


def clear(console: Console, flags: Mapping[str, Any]) -> ExitCode:
    """Delete the answers and the totals of the folder; its secret stays."""
    from sdk_workflow.core.caching.snapshot_file import DEFAULT_NAME
    from sdk_workflow.core.caching.totals import FILE_NAME

    folder, _ = _opened(_runtime(flags))
    removed = 0
    for name in (DEFAULT_NAME, FILE_NAME):
        path = folder / name
        if path.exists():
            path.unlink()
            removed += 1
    console.result("The cache is empty now." if removed else "The cache was empty already.")
    return ExitCode.OK


def warm(
    console: Console, flags: Mapping[str, Any], file: Path, *, max_cost_usd: float | None
) -> ExitCode:
    """Ask the model about every prompt of a file that no cache can answer yet.

    Returns:
        OK where every item is in the cache now.
    """
    from sdk_workflow.cli.batch import read_items

    items = read_items(file)
    broken = [item for item in items if item.problem]
    if broken:
        raise UsageError(
            f"Line {broken[0].line} of {str(file)!r}: {broken[0].problem}",
            code="malformed_line",
            hint='Write one JSON object in each line: {"prompt": "..."}.',
        )
    runtime = _runtime(flags)
    _, cache = _opened(runtime)
    requests = [_request(runtime, item.prompt) for item in items]
    job = functools.partial(_warm, runtime, cache, requests, max_cost_usd=max_cost_usd)
    report: WarmReport = run_async(job, console)
    console.result(_warm_text(report))
    is_whole = not report["errors"] and not report["refused"] and not report["over_budget"]
    return ExitCode.OK if is_whole else ExitCode.RUN_FAILED


async def _warm(
    runtime: Runtime,
    cache: CacheManager,
    requests: list[Any],
    console: Console,
    *,
    max_cost_usd: float | None,
) -> WarmReport:
    def tell(progress: WarmProgress) -> None:
        if console.is_terminal:
            console.notice(f"{progress.done} of {progress.total}, ${progress.cost_usd:.4f}")

    async with runtime:
        return await cache.awarm_cache(
            requests,
            send=runtime.client.create,
            concurrency=runtime.settings.concurrency,
            on_progress=tell,
            max_cost_usd=max_cost_usd,
        )


def explain(console: Console, flags: Mapping[str, Any], text: str, *, as_json: bool) -> ExitCode:
    """Write what each tier would make of a prompt, and why."""
    runtime = _runtime(flags)
    _, cache = _opened(runtime)
    found = cache.explain(_request(runtime, text))
    facts = _explanation(found)
    if as_json:
        console.result(json.dumps({"schema": SCHEMA, **facts}, indent=2, ensure_ascii=False))
        return ExitCode.OK
    for name, value in facts.items():
        if value is not None:
            console.result(f"{name:20} {printable(str(value))}")
    return ExitCode.OK


def _runtime(flags: Mapping[str, Any]) -> Runtime:
    from sdk_workflow.config.settings import load_settings
    from sdk_workflow.runtime import build_runtime

    settings = load_settings(flags)
    has_key = settings.api_key is not None or settings.auth_token is not None
    backend = "simulator" if settings.backend == "auto" and not has_key else settings.backend
    return build_runtime(settings, backend=backend)


def _opened(runtime: Runtime) -> tuple[Path, CacheManager]:
    """Return the folder of the settings, and the caches with what it holds."""
    folder = runtime.settings.cache_dir
    if folder is None or runtime.cache is None:
        raise UsageError(
            "There is no cache folder." if folder is None else "The cache is switched off.",
            code="cache_dir_missing",
            hint="Give --cache-dir DIR, or set SDK_WORKFLOW_CACHE_DIR, and leave the cache on.",
        )
    return folder, runtime.cache


def _request(runtime: Runtime, text: str) -> dict[str, Any]:
    """Return the request that `run --tools none` makes of a prompt."""
    settings = runtime.settings
    known = runtime.catalog.get(settings.model)
    request: dict[str, Any] = {
        "model": settings.model if known is None else known.id,
        "max_tokens": settings.max_tokens,
        "messages": [{"role": "user", "content": text.strip()}],
    }
    if settings.system:
        request["system"] = settings.system
    return request


def _explanation(found: CacheExplanation) -> dict[str, Any]:
    match = found.match
    near = None if match is None or match.matched_text is None else match.matched_text[:_MAX_TEXT]
    return {
        "exact": "hit" if found.exact else found.exact_refusal or "absent",
        "exact_age_seconds": found.age_seconds,
        "semantic": found.semantic_refusal or (match.outcome.lower() if match else "off"),
        "semantic_reason": None if match is None else match.reason,
        "similarity": None if match is None else match.similarity,
        "threshold": None if match is None else match.threshold,
        "probability": None if match is None else match.probability,
        "veto": None if match is None else match.veto,
        "nearest_text": near,
    }


def _totals_lines(totals: CacheTotals) -> list[str]:
    asked = totals["hits"] + totals["misses"]
    rate = f"{totals['hits'] / asked:.0%}" if asked else "none asked yet"
    by_tier = _counts(totals["hits_by_tier"])
    return [
        f"hits       {totals['hits']:,} of {asked:,} calls ({rate}), {by_tier}",
        f"skipped    {totals['skipped']:,} calls that may not be cached",
        f"saved      {totals['saved_tokens']:,} tokens, ${totals['saved_usd']:.4f}",
        f"vetoes     {_counts(totals['vetoes'])}",
    ]


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"


def _warm_text(report: WarmReport) -> str:
    known = f"{report['present']:,} there already, {report['duplicates']:,} twice in the file"
    lines = [f"{report['stored']:,} stored, {known}, ${report['cost_usd']:.4f}"]
    if report["refused"]:
        lines.append(f"not cacheable: {_counts(report['refused'])}")
    if report["over_budget"]:
        lines.append(f"not asked, the money was spent: {report['over_budget']:,}")
    lines += [f"item {error['index'] + 1}: {error['error']}" for error in report["errors"]]
    return "\n".join(lines)
