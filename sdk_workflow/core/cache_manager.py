"""The cascade of response caches: exact match, then semantic match, then the model.

It joins the three caches, which do not know one another. Rules, keys, counts and files are parts
of `core.caching`; this module knows no transport and no middleware.
"""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.core.caching.admission import Admission
from sdk_workflow.core.caching.analytics import CacheCounts
from sdk_workflow.core.caching.cascade import Cascade
from sdk_workflow.core.caching.eligibility import EligibilityRules
from sdk_workflow.core.caching.live_replies import LiveReplies
from sdk_workflow.core.caching.requests import as_call
from sdk_workflow.core.caching.semantic_tier import same_words
from sdk_workflow.core.caching.stored_reply import StoredReply
from sdk_workflow.exceptions import StorageError
from sdk_workflow.types import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Literal

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.core.cache import PromptCacheOptimizer
    from sdk_workflow.core.caching.analytics import CacheReport
    from sdk_workflow.core.caching.eligibility import Eligibility
    from sdk_workflow.core.caching.lookup import CacheExplanation, CacheLookup
    from sdk_workflow.core.caching.semantic_tier import Judge, SemanticTier
    from sdk_workflow.core.caching.warming import WarmProgress, WarmReport
    from sdk_workflow.core.lru_cache import LRUCache
    from sdk_workflow.protocols import Clock, Proceed
    from sdk_workflow.types import CacheTier, Reply

    Request = Call | Mapping[str, Any]
    Response = Reply | Mapping[str, Any]

__all__ = ["CacheManager"]

_logger = logging.getLogger("sdk_workflow.cache")
_MAX_ENTRIES_ON_DISK = 20_000


class CacheManager:
    """Answers calls out of an exact and a semantic cache, and keeps what the model answers.

    A call is looked for in the exact tier, then, where the rules allow it, in the semantic one.
    What the rules do not allow is neither looked for nor kept. Safe for threads.

    Args:
        lru_cache: The exact tier; None leaves it out. What is kept lives for `ttl_seconds`, not
            for the cache's own time.
        semantic_cache: The semantic tier; None leaves it out.
        prompt_optimizer: Prepares what has to be sent all the same; None sends it as it is.
        eligibility: Which calls may be answered from the tiers; `EligibilityRules()` by default.
        tenant_secret: At least 16 random bytes to make keys with. By default random ones, or those
            of the folder that the caches are loaded from.
        namespace: Who answers beside the backend, such as the address of its server.
        backend: Whose replies are kept: an answer of the simulator never serves for the API.
        catalog: Prices what a hit saves, and knows two names of one model; None does neither.
        clock: Where the time comes from.
        ttl_seconds: How long a reply is kept.
        judge: Compares the stored answer to a similar question with the model's fresh one, in the
            thread that stores. By default only the same words count, and count as right.

    Example:
        >>> from sdk_workflow.core.lru_cache import LRUCache
        >>> from sdk_workflow.types import Reply, Usage
        >>> manager = CacheManager(LRUCache(), None, None)
        >>> call = Call(model="m", messages=({"role": "user", "content": "2 + 2?"},))
        >>> manager.cache_response(call, Reply(id="msg_1", model="m", stop_reason="end_turn",
        ...     content=({"type": "text", "text": "4"},), usage=Usage(output_tokens=1)))
        >>> hit = manager.get_cached_response(call)
        >>> hit.text, hit.served_by, hit.usage.output_tokens, hit.cache_hit.usage.output_tokens
        ('4', 'lru', 0, 1)
    """

    def __init__(  # noqa: PLR0913 - the composition of the cascade: an argument for each part
        self,
        lru_cache: LRUCache[str, StoredReply] | None,
        semantic_cache: SemanticTier | None,
        prompt_optimizer: PromptCacheOptimizer | None,
        *,
        eligibility: Eligibility | None = None,
        tenant_secret: bytes | None = None,
        namespace: str = "",
        backend: Literal["api", "simulator"] = "api",
        catalog: ModelCatalog | None = None,
        clock: Clock | None = None,
        ttl_seconds: float = 3600.0,
        judge: Judge = same_words,
    ) -> None:
        self.counts = CacheCounts()
        self._lru = lru_cache
        self._semantic = semantic_cache
        self._prompt_optimizer = prompt_optimizer
        self._was_given_secret = tenant_secret is not None
        self._secret = secrets.token_bytes(32) if tenant_secret is None else tenant_secret
        rules = eligibility or EligibilityRules()
        self._admission = Admission(
            rules, secret=self._secret, namespace=namespace, backend=backend, catalog=catalog
        )
        self._clock: Clock = clock or SystemClock()
        self._live = LiveReplies()
        self.cascade = Cascade(
            lru=lru_cache,
            semantic=semantic_cache,
            admission=self._admission,
            live=self._live,
            counts=self.counts,
            clock=self._clock,
            catalog=catalog,
            ttl_seconds=ttl_seconds,
            judge=judge,
        )

    def build_cached_request(self, call: Call) -> Call:
        """Return a call that has to be sent, with its prompt marked for the API's own cache."""
        optimizer = self._prompt_optimizer
        return call if optimizer is None else optimizer.build_cached_request(call)

    def get_cached_response(self, request: Request) -> Any | None:
        """Return the stored answer to a request, or None.

        Args:
            request: A `Call`, or the dictionary of Messages-API parameters.

        Returns:
            For a `Call` a `Reply` with `cache_hit` set and nothing billed. For a dictionary the
            API's message as it was stored: its `usage` is what was billed back then.

        Raises:
            UsageError: If the request has no model or no messages.
        """
        look = self.cascade.look_exact(as_call(request))
        further = self.cascade.look_semantic(look) if look.is_open else None
        return self._answer(request, look, further)

    async def aget_cached_response(self, request: Request) -> Any | None:
        """Do what `get_cached_response` does, with the semantic lookup in a worker thread."""
        look = self.cascade.look_exact(as_call(request))
        further = await self.cascade.alook_semantic(look) if look.is_open else None
        return self._answer(request, look, further)

    def cache_response(self, request: Request, response: Response) -> None:
        """Keep the model's answer to a request, if the rules allow it; why not is counted.

        Args:
            request: A `Call`, or the dictionary of Messages-API parameters.
            response: A `Reply`, or the API's message.

        Raises:
            UsageError: If one of them is not what it should be.
        """
        look = self.cascade.admit(as_call(request))
        if look.key is None:
            self.counts.note_not_stored(str(look.reason))
            return
        kept = self.cascade.keep(look, response)
        if isinstance(kept, StoredReply):
            self.cascade.learn(look, kept)

    def explain(self, request: Request) -> CacheExplanation:
        """Return what the tiers would make of a request, and why; nothing is counted or served.

        Raises:
            UsageError: If the request has no model or no messages.
        """
        return self.cascade.explain(as_call(request))

    def warm_cache(
        self,
        common_requests: Sequence[Any],
        *,
        send: Proceed | None = None,
        concurrency: int = 4,
        on_progress: Callable[[WarmProgress], object] | None = None,
        max_cost_usd: float | None = None,
    ) -> WarmReport:
        """Fill the caches with requests that will come, each distinct one once.

        Args:
            common_requests: Requests, or pairs of a request and its answer.
            send: Asks the model about a request that comes without an answer, such as
                `client.create`.
            concurrency: How many are asked at once.
            on_progress: Told after each item.
            max_cost_usd: No further request is sent once the answers have cost so much.

        Returns:
            What became of the items; one that fails is counted and does not stop the others.
        """
        from sdk_workflow._internal.portal import Portal

        portal = Portal()
        try:
            return portal.call(
                lambda: self.awarm_cache(
                    common_requests,
                    send=send,
                    concurrency=concurrency,
                    on_progress=on_progress,
                    max_cost_usd=max_cost_usd,
                )
            )
        finally:
            portal.close()

    async def awarm_cache(
        self,
        common_requests: Sequence[Any],
        *,
        send: Proceed | None = None,
        concurrency: int = 4,
        on_progress: Callable[[WarmProgress], object] | None = None,
        max_cost_usd: float | None = None,
    ) -> WarmReport:
        """Do what `warm_cache` does, in the running event loop."""
        from sdk_workflow.core.caching.warming import Warming

        warming = Warming(
            self.cascade, send=send, on_progress=on_progress, max_cost_usd=max_cost_usd
        )
        return await warming.run(common_requests, concurrency)

    def persist_to_disk(self, path: Path) -> None:
        """Write what the caches hold into a file, merged with what others wrote there.

        Args:
            path: The file, or a folder that is there already. The file and the secret beside it
                are readable by their owner only.

        Raises:
            StorageError: If it cannot be written, or was written with another secret.
        """
        from sdk_workflow.core.caching.contents import take_out
        from sdk_workflow.core.caching.private_files import folder_secret
        from sdk_workflow.core.caching.snapshot_file import SnapshotFile

        file = SnapshotFile(path)
        if not self._was_given_secret:
            folder = file.path.parent
            if folder_secret(folder, default=self._secret) != self._secret:
                raise StorageError(
                    f"The caches in {str(folder)!r} were made with another secret than these.",
                    code="cache_secret_differs",
                    hint="Call load_from_disk before the first lookup, or choose another folder.",
                )
        file.save(
            take_out(self._live, self._semantic),
            self._secret,
            now=self._clock.now(),
            max_entries=_MAX_ENTRIES_ON_DISK,
        )

    def load_from_disk(self, path: Path) -> None:
        """Add what a file holds to the caches; where there is no file, nothing.

        A file that is damaged, of another version or of another tenant is left out, with a warning
        in the log and a count in the report: the caches start fresh.

        Args:
            path: The file, or a folder that is there already.

        Raises:
            StorageError: If the secret of the folder cannot be read, or is open to others.
        """
        from sdk_workflow.core.caching.contents import put_back
        from sdk_workflow.core.caching.private_files import folder_secret
        from sdk_workflow.core.caching.snapshot_file import SnapshotFile

        file = SnapshotFile(path)
        if not self._was_given_secret:
            self._adopt(folder_secret(file.path.parent, default=self._secret))
        try:
            snapshot = file.load(self._secret)
        except StorageError as error:
            _logger.warning("%s %s", error, error.hint)
            self.counts.note_refused_file()
            return
        self.counts.note_dropped_records(snapshot.dropped)
        put_back(
            snapshot,
            live=self._live,
            lru=self._lru,
            semantic=self._semantic,
            now=self._clock.now(),
        )

    def report_wrong(self, hit_id: str) -> None:
        """Say that a hit was a wrong answer: no tier and no file serves it again.

        Args:
            hit_id: `reply.cache_hit.hit_id`.

        Raises:
            UsageError: If it names no hit.
        """
        self.cascade.report_wrong(hit_id)

    def clear(self) -> None:
        """Remove every reply from both tiers; a file on disk is left as it is."""
        if self._lru is not None:
            self._lru.clear()
        if self._semantic is not None:
            self._semantic.clear()

    def close(self) -> None:
        """End the thread of the semantic tier; a second call does nothing."""
        if self._semantic is not None:
            self._semantic.close()

    def get_cache_report(self) -> CacheReport:
        """Return what the caches did so far, as numbers and names of rules."""
        entries: dict[CacheTier, int] = {}
        breaker = None
        if self._lru is not None:
            entries["lru"] = len(self._lru)
        if self._semantic is not None:
            stats = self._semantic.get_stats()
            entries["semantic"], breaker = stats.entries, stats.breaker
        oldest = next(iter(self._live.all()), None)
        return self.counts.report(
            entries=entries,
            oldest_entry_seconds=None if oldest is None else oldest.age_seconds(self._clock.now()),
            breaker=breaker,
        )

    def _adopt(self, secret: bytes) -> None:
        if secret != self._secret:
            self._secret = secret
            self._admission.use_secret(secret)
            self.clear()  # nobody could find it any more

    def _answer(
        self, request: Request, look: CacheLookup, further: CacheLookup | None
    ) -> Any | None:
        self.cascade.note(look)
        last = look
        if further is not None:
            self.cascade.note(further)
            last = further
        self.counts.note_call("hit" if last.reply else "skipped" if look.key is None else "miss")
        if last.reply is None or last.stored is None:
            return None
        return last.reply if isinstance(request, Call) else last.stored.message()
