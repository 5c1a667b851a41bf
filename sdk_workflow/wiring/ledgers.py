"""The ledger on disk that the budgets of a user's processes share."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from sdk_workflow.protocols import Ledger

__all__ = ["open_ledger"]


def open_ledger(path: Path) -> AbstractContextManager[Ledger]:
    """Return a ledger in a file, to be closed at the end of a `with`."""
    from sdk_workflow.storage.ledger_file import LedgerFile

    return closing(LedgerFile(path))
