"""What the caches of one folder did over all the processes that used it, in a small JSON file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypedDict

from sdk_workflow._internal.atomic_file import write_atomically
from sdk_workflow.core.caching.private_files import locked, make_private_folder, read_private
from sdk_workflow.exceptions import StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from sdk_workflow.core.caching.analytics import CacheReport

__all__ = ["CacheTotals", "add_to_totals", "read_totals"]

FILE_NAME = "totals.json"
_SCHEMA = "sdk_workflow.cache-totals/1"
_MAX_BYTES = 2**16
_COUNTS = ("hits", "misses", "skipped", "stored", "saved_tokens")


class CacheTotals(TypedDict):
    """Counts of calls and tokens, dollars, and hits by tier, since the folder was made."""

    hits: int
    misses: int
    skipped: int
    stored: int
    saved_tokens: int
    saved_usd: float
    hits_by_tier: dict[str, int]
    vetoes: dict[str, int]


def read_totals(folder: Path) -> CacheTotals:
    """Return the totals of a cache folder; zeros where there are none or the file is unusable."""
    try:
        return _checked(json.loads(read_private(folder / FILE_NAME, max_bytes=_MAX_BYTES)))
    except (OSError, StorageError, ValueError, KeyError, TypeError):
        return _nothing()


def add_to_totals(folder: Path, report: CacheReport) -> None:
    """Add what one process did.

    Raises:
        StorageError: If the folder cannot be written.
    """
    make_private_folder(folder)
    path = folder / FILE_NAME
    with locked(path.with_name(f"{FILE_NAME}.lock")):
        totals = read_totals(folder)
        summed = CacheTotals(
            hits=totals["hits"] + report["hits"],
            misses=totals["misses"] + report["misses"],
            skipped=totals["skipped"] + report["skipped"],
            stored=totals["stored"] + report["stored"],
            saved_tokens=totals["saved_tokens"] + report["saved_tokens"],
            saved_usd=totals["saved_usd"] + report["saved_usd"],
            hits_by_tier=_sum(
                totals["hits_by_tier"],
                {str(name): tier["hits"] for name, tier in report["tiers"].items()},
            ),
            vetoes=_sum(totals["vetoes"], report["vetoes"]),
        )
        document = json.dumps({"schema": _SCHEMA, **summed})
        write_atomically(path, document, follows_links=False)


def _sum(first: dict[str, int], second: dict[str, int]) -> dict[str, int]:
    names = sorted({*first, *second})
    return {name: first.get(name, 0) + second.get(name, 0) for name in names}


def _nothing() -> CacheTotals:
    return CacheTotals(
        hits=0,
        misses=0,
        skipped=0,
        stored=0,
        saved_tokens=0,
        saved_usd=0.0,
        hits_by_tier={},
        vetoes={},
    )


def _checked(document: dict[str, Any]) -> CacheTotals:
    """Return the totals of a document that has the shape of ours; anything else is an error."""
    if document["schema"] != _SCHEMA:
        raise ValueError("another schema")
    hits, misses, skipped, stored, saved_tokens = (int(document[name]) for name in _COUNTS)
    return CacheTotals(
        hits=hits,
        misses=misses,
        skipped=skipped,
        stored=stored,
        saved_tokens=saved_tokens,
        saved_usd=float(document["saved_usd"]),
        hits_by_tier=_checked_counts(document["hits_by_tier"]),
        vetoes=_checked_counts(document["vetoes"]),
    )


def _checked_counts(value: object) -> dict[str, int]:
    if not isinstance(value, dict):
        raise TypeError("not an object")
    return {str(name): int(count) for name, count in value.items()}
