"""The errors of stored sessions, and the private sign of damage that becomes one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.exceptions import CheckpointConflict, CheckpointCorrupt, SessionNotFound

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CheckpointConflict", "CheckpointCorrupt", "Damage", "SessionNotFound"]

_MOST_RANGES = 8


class Damage(Exception):
    """Bytes that cannot be what was written; the message says what is wrong with them."""

    def __init__(self, what: str, *, version: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.version = version


def corrupt(
    path: Path, damage: Damage, intact_versions: tuple[int, ...] | None
) -> CheckpointCorrupt:
    """Return the error that tells a user of damage: the file, the version, and what still loads.

    Args:
        path: The file.
        damage: What is wrong with it.
        intact_versions: What still loads; None where that was not looked for.
    """
    where = "" if damage.version is None else f", version {damage.version}"
    if intact_versions:
        rest = f"Versions that still load: {_ranges(intact_versions)}."
        hint = (
            "Restore a backup, or go on from a version that still loads: "
            "fork_checkpoint(session_id, version, new_session_id)."
        )
    else:
        rest = "" if intact_versions is None else "No version of it loads."
        hint = "Restore a backup with restore_checkpoint(); the damaged file is kept beside it."
    return CheckpointCorrupt(
        f"{str(path)!r}{where} is damaged: {damage.what}. {rest}".rstrip(),
        version=damage.version,
        intact_versions=intact_versions or (),
        hint=hint,
    )


def _ranges(numbers: tuple[int, ...]) -> str:
    """Return "1-4, 7, 9-12", cut after a few."""
    found: list[list[int]] = []
    for number in numbers:
        if found and number == found[-1][1] + 1:
            found[-1][1] = number
        else:
            found.append([number, number])
    texts = [str(low) if low == high else f"{low}-{high}" for low, high in found[:_MOST_RANGES]]
    return ", ".join(texts) + (", ..." if len(found) > _MOST_RANGES else "")
