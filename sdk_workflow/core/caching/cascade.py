"""One call through the tiers: looked for, kept, learnt. Reads no file and sends nothing.

The exact tier is asked inline, because it answers in microseconds; the semantic one may encode a
text, so each of its steps has an asynchronous twin that runs in a worker thread.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from sdk_workflow._internal.clock import utc_day
from sdk_workflow._internal.trace_function import trace_function
from sdk_workflow._internal.tracing import trace_span
from sdk_workflow.core.caching.lookup import OFF, CacheExplanation, CacheLookup, ToCheck
from sdk_workflow.core.caching.requests import as_reply, message_json
from sdk_workflow.core.caching.stored_reply import StoredReply
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sdk_workflow.config.models import ModelCatalog
    from sdk_workflow.core.caching.admission import Admission
    from sdk_workflow.core.caching.analytics import CacheCounts
    from sdk_workflow.core.caching.live_replies import LiveReplies
    from sdk_workflow.core.caching.lookup import SharedAnswer
    from sdk_workflow.core.caching.request_key import RequestKey
    from sdk_workflow.core.caching.semantic_tier import Judge, SemanticTier
    from sdk_workflow.core.lru_cache import LRUCache
    from sdk_workflow.protocols import Clock
    from sdk_workflow.types import CacheTier, Call, Money, Reply

    Response = Reply | Mapping[str, Any]

__all__ = ["Cascade"]

_logger = logging.getLogger("sdk_workflow.cache")


class Cascade:
    """The two tiers, with the rules between them; thread-safe.

    Args:
        lru: The exact tier; None leaves it out.
        semantic: The semantic tier; None leaves it out.
        admission: The rules and the keys.
        live: What is alive, and what was found wrong.
        counts: Where it is counted what the tiers did.
        clock: Where the time comes from.
        catalog: Prices what a hit saves.
        ttl_seconds: How long a reply is kept where no rule says otherwise.
        judge: Compares a stored answer with a fresh one.
    """

    def __init__(  # noqa: PLR0913 - the parts of the cascade, each by its name
        self,
        *,
        lru: LRUCache[str, StoredReply] | None,
        semantic: SemanticTier | None,
        admission: Admission,
        live: LiveReplies,
        counts: CacheCounts,
        clock: Clock,
        catalog: ModelCatalog | None,
        ttl_seconds: float,
        judge: Judge,
    ) -> None:
        self.counts = counts
        self._lru = lru
        self._semantic = semantic
        self._admission = admission
        self._live = live
        self._clock = clock
        self._catalog = catalog
        self._ttl_seconds = ttl_seconds
        self._judge = judge
        self._told: set[tuple[str, str]] = set()

    def admit(self, call: Call) -> CacheLookup:
        """Return a lookup of a call that has looked nowhere so far: a miss, or skipped."""
        key, refusal = self._admission.admit(call)
        if key is None:
            return CacheLookup(call=call, tier="lru", outcome="skipped", reason=refusal)
        return CacheLookup(call=call, tier="lru", outcome="miss", key=key, reason="absent")

    @trace_function(name="cache.look_exact")
    def look_exact(self, call: Call) -> CacheLookup:
        """Look for a call in the exact tier; it takes 40 microseconds for 17 KB that are known."""
        key, refusal = self._admission.admit(call)
        if key is None or self._lru is None:
            reason = refusal or OFF
            return CacheLookup(call=call, tier="lru", outcome="skipped", key=key, reason=reason)
        return self._look_up(call, key, self._lru)

    def look_again(self, look: CacheLookup) -> CacheLookup:
        """Look in the exact tier once more, for what another thread may just have stored."""
        if look.key is None or self._lru is None:
            return look
        return self._look_up(look.call, look.key, self._lru)

    def _look_up(self, call: Call, key: RequestKey, lru: LRUCache[str, StoredReply]) -> CacheLookup:
        stored = lru.get(key.exact)
        if stored is None or not self._live.is_usable(stored, now=self._clock.now()):
            reason = "absent" if stored is None else "outdated"
            return CacheLookup(call=call, tier="lru", outcome="miss", key=key, reason=reason)
        return self._hit(call, key, stored, hit_id=f"lru:{key.exact}")

    def look_semantic(self, look: CacheLookup) -> CacheLookup:
        """Look further for a call that the exact tier does not know; it may take 20 milliseconds.

        Args:
            look: What `look_exact` returned, where it is open.
        """
        key, semantic = look.key, self._semantic
        refusal = self.semantic_refusal(look)
        if refusal is not None or key is None or semantic is None:
            return replace(look, tier="semantic", outcome="skipped", reason=refusal)
        try:
            found = semantic.lookup(key.text or "", scope=key.scope)
        except Exception as error:  # noqa: BLE001 - a cache must not break the call that it saves
            self._warn("looked up", error)
            return replace(look, tier="semantic", outcome="miss", reason="failed")
        stored: StoredReply | None = found.response
        if stored is None:
            reason, is_veto = found.reason, found.veto is not None and found.reason == found.veto
            return replace(look, tier="semantic", outcome="miss", reason=reason, is_veto=is_veto)
        if not self._live.is_usable(stored, now=self._clock.now()):
            return replace(look, tier="semantic", outcome="miss", reason="outdated")
        hit_id = f"semantic:{stored.key}:{found.hit_id}"
        if found.outcome == "HIT":
            return self._hit(
                look.call,
                key,
                stored,
                hit_id=hit_id,
                tier="semantic",
                similarity=found.similarity,
            )
        to_check = ToCheck(hit_id=str(found.hit_id), stored=stored)
        reason = found.reason
        return replace(look, tier="semantic", outcome="miss", reason=reason, to_check=to_check)

    async def alook_semantic(self, look: CacheLookup) -> CacheLookup:
        """Do what `look_semantic` does, in a worker thread where there is a text to encode."""
        if self.semantic_refusal(look) is not None:
            return self.look_semantic(look)
        from anyio.to_thread import run_sync

        with trace_span("cache.look_semantic"):
            return await run_sync(self.look_semantic, look)

    @trace_function(name="cache.explain")
    def explain(self, call: Call) -> CacheExplanation:
        """Return what the tiers would make of a call, and why; nothing is counted or served."""
        look, semantic = self.admit(call), self._semantic
        key = look.key
        if key is None:
            return CacheExplanation(key=None, exact_refusal=look.reason)
        now = self._clock.now()
        stored = self._live.get(key.exact)
        is_there = stored is not None and self._live.is_usable(stored, now=now)
        exact = stored if is_there and self._lru is not None and key.exact in self._lru else None
        refusal = self.semantic_refusal(look)
        match = None
        if refusal is None and semantic is not None:
            match = semantic.explain(key.text or "", scope=key.scope)
        return CacheExplanation(
            key=key,
            exact_refusal=OFF if self._lru is None else None,
            exact=exact,
            age_seconds=None if exact is None else exact.age_seconds(now),
            semantic_refusal=refusal,
            match=match,
        )

    def semantic_refusal(self, look: CacheLookup) -> str | None:
        """Return the rule that keeps a call out of the semantic tier; None where it may go in."""
        return self._admission.semantic_refusal(look.call, look.key, is_off=self._semantic is None)

    def share(self, look: CacheLookup, answer: SharedAnswer) -> CacheLookup:
        """Return the hit of a call that waited while the same call was answered.

        Args:
            look: The lookup of the call that waited.
            answer: What the call that was made came to.
        """
        stored, hit = answer.stored, answer.hit
        if hit is None:
            return self._hit(look.call, look.key, stored, hit_id=f"lru:{stored.key}")
        return self._hit(
            look.call,
            look.key,
            stored,
            hit_id=hit.hit_id,
            tier=hit.tier,
            similarity=hit.similarity,
        )

    def keep(self, look: CacheLookup, response: Response) -> StoredReply | str:
        """Keep the model's answer in the exact tier, or return the rule that forbids it.

        Args:
            look: A lookup of the call, with its key.
            response: What the model answered.
        """
        reply = as_reply(response, self._admission.backend)
        ttl = self._admission.ttl_seconds(look.call, self._ttl_seconds)
        reason = self._admission.why_not_kept(look.call, reply, ttl)
        text = message_json(response) if reason is None else None
        if text is None or look.key is None:
            reason = reason or "not_json"
            self.counts.note_not_stored(reason)
            return reason
        now = self._clock.now()
        stored = StoredReply(
            key=look.key.exact,
            message_json=text,
            usage=reply.usage,
            saved=self.price(look.call, reply),
            created=now,
            expires=now + ttl,
        )
        self._live.add(stored)
        if self._lru is not None:
            self._lru.set(stored.key, stored, ttl)
        self.counts.note_stored()
        return stored

    def learn(self, look: CacheLookup, stored: StoredReply) -> None:
        """Give an answer that was kept to the semantic tier; it may take 20 milliseconds.

        A pair that the lookup left to be checked is labelled with what the judge says.

        Args:
            look: What `look_semantic`, or `look_exact`, returned.
            stored: What `keep` returned.
        """
        key, semantic = look.key, self._semantic
        if semantic is None or key is None or self.semantic_refusal(look) is not None:
            return
        try:
            self._label(look, stored, semantic)
            ttl = stored.expires - self._clock.now()
            semantic.add(key.text or "", stored, scope=key.scope, ttl=ttl)
        except Exception as error:  # noqa: BLE001 - a cache must not break the call that it saves
            self._warn("learnt", error)

    def _label(self, look: CacheLookup, stored: StoredReply, semantic: SemanticTier) -> None:
        if look.to_check is None:
            return
        is_right = self._judge(look.to_check.stored.text, stored.text)
        if is_right is not None:
            report = semantic.report_right if is_right else semantic.report_wrong
            report(look.to_check.hit_id)

    async def alearn(self, look: CacheLookup, stored: StoredReply) -> None:
        """Do what `learn` does, in a worker thread where there is a text to encode."""
        if self.semantic_refusal(look) is None:
            from anyio.to_thread import run_sync

            with trace_span("cache.learn"):
                await run_sync(self.learn, look, stored)

    def price(self, call: Call, reply: Reply) -> Money | None:
        """Return what the model billed for a reply; None where it has no known price."""
        if self._catalog is None:
            return None
        return self._catalog.price(
            reply.model,
            reply.usage,
            at=utc_day(self._clock),
            geo=call.parameters.get("inference_geo"),
            fast=call.parameters.get("speed") == "fast",
        )

    def note(self, look: CacheLookup) -> None:
        """Count what a tier said; a tier that is not there is not counted."""
        if look.reply is not None and look.reply.cache_hit is not None:
            self.counts.note_hit(look.reply.cache_hit)
        elif look.outcome == "miss":
            self.counts.note_miss(look.tier, look.reason or "absent", is_veto=look.is_veto)
        elif not look.is_off:
            self.counts.note_skip(look.tier, str(look.reason))

    def report_wrong(self, hit_id: str) -> None:
        """Say that a hit was a wrong answer: it is not served again, from any tier or file.

        Args:
            hit_id: `reply.cache_hit.hit_id`.

        Raises:
            UsageError: If no hit is named like that.
        """
        tier, _, rest = hit_id.partition(":")
        key, _, pair = rest.partition(":")
        if tier not in {"lru", "semantic"} or not key:
            raise UsageError(
                f"{hit_id!r} names no hit of a cache.",
                code="unknown_hit",
                hint="Pass reply.cache_hit.hit_id of a reply that came out of a cache.",
            )
        self._live.note_wrong(key, now=self._clock.now())
        if self._lru is not None:
            self._lru.invalidate(key)
        if tier == "semantic" and self._semantic is not None:
            self._semantic.report_wrong(pair)
        self.counts.note_wrong("lru" if tier == "lru" else "semantic")

    def _hit(
        self,
        call: Call,
        key: RequestKey | None,
        stored: StoredReply,
        *,
        hit_id: str,
        tier: CacheTier = "lru",
        similarity: float | None = None,
    ) -> CacheLookup:
        now = self._clock.now()
        reply = stored.reply(tier, hit_id=hit_id, now=now, similarity=similarity)
        return CacheLookup(call=call, tier=tier, outcome="hit", key=key, reply=reply, stored=stored)

    def _warn(self, what: str, error: Exception) -> None:
        # Its text may quote the prompt, so the name of the error has to do. Said once for each:
        # a tier that is broken fails at every call.
        name = type(error).__name__
        if (what, name) in self._told:
            return
        self._told.add((what, name))
        text = "A question could not be %s by its meaning: %s. This is said once."
        _logger.warning(text, what, name)
