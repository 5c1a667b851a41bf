"""Tells once of each kind of change at the front of the prompt, while the program runs."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING

from sdk_workflow.core.prompt_caching.prefix_guard import compare_prefixes, skeleton_of

if TYPE_CHECKING:
    from collections.abc import Hashable

    from sdk_workflow.core.prompt_caching.prefix_guard import PrefixChange
    from sdk_workflow.core.prompt_caching.records import Plan, Prefix
    from sdk_workflow.types import Call

__all__ = ["PrefixWatch"]

_logger = logging.getLogger("sdk_workflow.prompt_cache")


class PrefixWatch:
    """Compares each new prefix with the one that it seems to replace.

    Within a session that is the prefix of its last call. Otherwise only a prefix of the same
    operation counts that is the same but for an order or for passing values such as dates: two
    different prompts may well share an operation. Not safe for threads: its owner holds the lock.
    """

    def __init__(self, *, max_size: int = 1_000) -> None:
        self._max_size = max_size
        self._told: OrderedDict[Hashable, None] = OrderedDict()
        self._skeletons: OrderedDict[Hashable, Prefix] = OrderedDict()

    def check(self, call: Call, plan: Plan) -> PrefixChange | None:
        """Return what has moved, if nobody was told of its kind before; it is logged then."""
        earlier = plan.previous_prefix
        if plan.is_new_prefix:
            earlier = self._exchange_alike(call, plan.prefix) or earlier
        if earlier is None:
            return None
        prefix = plan.prefix
        change = compare_prefixes((earlier.tools, earlier.system), (prefix.tools, prefix.system))
        if change is None or not self._is_news(call, change):
            return None
        _logger.warning(
            "The %s of the prompt changed between calls of the operation %r (%s): nothing behind "
            "that is read from the prompt cache. Move what changes behind what stays.",
            change.part,
            call.operation,
            change.reason,
        )
        return change

    def _exchange_alike(self, call: Call, prefix: Prefix) -> Prefix | None:
        """Return the last prefix with the same skeleton, and remember this one instead."""
        if not prefix.tools and not prefix.system:
            return None
        skeleton = skeleton_of(prefix.tools, prefix.system)
        key = (call.tenant, call.model, call.operation, skeleton)
        found = self._skeletons.pop(key, None)
        self._skeletons[key] = prefix
        if len(self._skeletons) > self._max_size:
            self._skeletons.popitem(last=False)
        return found

    def _is_news(self, call: Call, change: PrefixChange) -> bool:
        key = (call.tenant, call.operation, change)
        if key in self._told:
            return False
        self._told[key] = None
        if len(self._told) > self._max_size:
            self._told.popitem(last=False)
        return True
