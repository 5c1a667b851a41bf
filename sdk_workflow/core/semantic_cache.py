"""The semantic tier: answers a question with the stored answer to one that means the same.

It owns the order of the questions asked of a pair of texts: near enough, no veto, likely enough,
trusted scope. Texts are matched inside one scope only; what makes a scope is the caller's to say,
and what a response is stays unknown here.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sdk_workflow._internal.clock import SystemClock
from sdk_workflow.core.forks import renew_after_fork
from sdk_workflow.core.semantic.guard import find_veto, prepare
from sdk_workflow.core.semantic.labels import FeedbackPolicy, Labels, Pair
from sdk_workflow.core.semantic.matches import (
    Candidate,
    MatchExplanation,
    check_options,
    check_shares,
    choose,
    collect_stats,
    decide,
)
from sdk_workflow.core.semantic.saving import restored_entry, saved_entries
from sdk_workflow.core.semantic.scopes import Entry, ScopeTable
from sdk_workflow.core.semantic.vectors import TextVectors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from os import PathLike

    from sdk_workflow.core.semantic.calibrator import Calibrator
    from sdk_workflow.core.semantic.matches import Outcome, SemanticEntry, SemanticStats
    from sdk_workflow.protocols import Clock, Embedder

__all__ = ["FeedbackPolicy", "SemanticCache"]

_MAX_CHARACTERS = 512  # 128 tokens of 4 characters: longer texts agree in tone, not in meaning
_MAX_DIFFERENCE = 256  # 64 tokens
_CANDIDATES = 8


class SemanticCache:
    """Keeps answers by the meaning of their questions, each scope for itself.

    A text is served for another one if their cosine reaches the threshold, no rule of the guard
    speaks against it, the calibrator (once it has enough labels) finds it likely enough, and the
    scope has not been wrong too often. Exactly the same text needs none of that, and no encoder:
    where the encoder is missing, late or failing, that is what is left, counted and logged once.
    Texts over 512 characters are matched exactly only. Safe for threads; nothing is encoded under
    a lock.

    Args:
        similarity_threshold: The cosine that a text has to reach, from 0.90 to 1; without guards
            from 0.50.
        embedder: "auto" for the model that is installed, the path of a model folder, an `Embedder`,
            or None for exact matches only.
        max_entries: Texts to keep over all scopes; the one used longest ago leaves first.
        guards: Whether the guard's rules (numbers, negation, names, ...) may veto.
        overlap_weight: How much a full overlap of concepts adds to the cosine when one of the 8
            nearest texts is chosen; 0 takes the nearest. 0.1 finds more where many texts are alike.
        margin: The lead in score that the chosen text needs over the best of the 8 nearest that has
            another answer, by `==`; 0 asks for none.
        ttl_seconds: Lifetime of an entry that is stored without one of its own.
        feedback: The error budget and how it is watched.
        calibrator: Learns from labels; None starts with an empty one.
        encode_timeout_seconds: How long a lookup waits for a vector.
        random_share: Draws the numbers for shadow sampling, from 0 up to 1.
        clock: Where the time comes from.

    Raises:
        UsageError: If the threshold is out of its range, the weight or the margin is not from 0 to
            1, or `max_entries` is below 1.

    Example:
        >>> cache = SemanticCache(embedder=None)
        >>> cache.add("How tall is the Eiffel Tower?", "330 m")
        >>> cache.get_if_similar("How tall is the Eiffel Tower?")
        '330 m'
        >>> cache.explain("How old is it?").outcome
        'MISS'
    """

    def __init__(  # noqa: PLR0913 - all but the first by keyword, and each stands for itself
        self,
        similarity_threshold: float = 0.95,
        *,
        embedder: str | PathLike[str] | Embedder | None = "auto",
        max_entries: int = 20_000,
        guards: bool = True,
        overlap_weight: float = 0.0,
        margin: float = 0.0,
        ttl_seconds: float = 3600,
        feedback: FeedbackPolicy | None = None,
        calibrator: Calibrator | None = None,
        encode_timeout_seconds: float = 0.05,
        random_share: Callable[[], float] = random.random,  # noqa: S311 # nosec B311 # no secret
        clock: Clock | None = None,
    ) -> None:
        check_options(similarity_threshold, max_entries, guards=guards)
        check_shares(overlap_weight=overlap_weight, margin=margin)
        self._threshold = similarity_threshold
        self._guards = guards
        self._overlap_weight, self._margin = overlap_weight, margin
        self._candidates = _CANDIDATES if overlap_weight or margin else 1
        self._ttl_seconds = ttl_seconds
        self._policy = feedback or FeedbackPolicy()
        self._random_share = random_share
        self._clock = clock or SystemClock()
        self._labels = Labels(self._policy, calibrator, self._clock)
        self._vectors = TextVectors(
            embedder, timeout_seconds=encode_timeout_seconds, clock=self._clock
        )
        self._table = ScopeTable(max_entries)
        self._tag: str | None = None
        self._outcomes: Counter[tuple[Outcome, str]] = Counter()
        self._reported_wrong = 0
        self._lock = threading.Lock()
        renew_after_fork(self)

    def add(self, query: str, response: Any, *, scope: str = "", ttl: float | None = None) -> None:
        """Store the answer to a question, in place of an earlier one to the same text.

        Args:
            query: The question.
            response: Whatever `get_if_similar` is to return.
            scope: Only lookups in the same scope can find it.
            ttl: Lifetime in seconds; None takes the cache's own, and 0 or less stores nothing.
        """
        lifetime = self._ttl_seconds if ttl is None else ttl
        vector = self._encode(query) if lifetime > 0 else None
        entry = Entry(
            scope=scope,
            text=query,
            response=response,
            prepared=prepare(query),
            vector=vector,
            created=self._clock.now(),
            expires_at=self._clock.monotonic() + lifetime,
        )
        with self._lock:
            self._adopt_tag()
            old = self._table.same(scope, query, self._clock.monotonic())
            if lifetime > 0:
                self._table.put(entry)
            elif old is not None:
                self._table.remove(old)

    def get_if_similar(self, query: str, *, scope: str = "") -> Any | None:
        """Do what `lookup` does, without sampling, and return the answer of a hit, else None."""
        match = self._look(query, scope, share=0.0)
        return match.response if match.outcome == "HIT" else None

    def lookup(self, query: str, *, scope: str = "") -> MatchExplanation:
        """Return what to do about a question: serve `response`, verify it, or ask the model.

        At VERIFY, such as for `feedback.shadow_share` of the similar hits, ask the model, compare its
        answer with `response`, and call `report_right` or `report_wrong` with the `hit_id`.
        """
        return self._look(query, scope, share=self._policy.shadow_share)

    def explain(self, query: str, *, scope: str = "") -> MatchExplanation:
        """Return what a lookup would find, with every number; nothing is counted, served or moved."""
        return self._judge(query, scope, is_thorough=True)[0]

    def find_similar(
        self, query: str, top_k: int = 5, *, scope: str = ""
    ) -> list[tuple[str, float]]:
        """Return the stored questions nearest to a text with their cosines, nearest first.

        These are neighbours, not matches: no threshold and no guard is asked. Without a vector of
        the text it is the same text alone.
        """
        vector = self._encode(query)
        with self._lock:
            if vector is None:
                same = self._table.same(scope, query, self._clock.monotonic())
                return [] if same is None or top_k < 1 else [(query, 1.0)]
            found = self._nearest(scope, vector, top_k)
        return [(entry.text, cosine) for entry, cosine in found]

    def report_wrong(self, hit_id: str) -> bool:
        """Say that the answer of a hit was wrong: it is forgotten, and the pair counts as an error.

        Returns:
            Whether the hit was known: each can be reported once, and the last 10,000 are.
        """
        pair = self._labels.settle(hit_id, is_error=True)
        if pair is None:
            return False
        with self._lock:
            self._table.remove(pair.entry)
            self._reported_wrong += 1
        self._labels.learn(pair, is_error=True)  # last: meanwhile the answer is gone already
        return True

    def report_right(self, hit_id: str) -> bool:
        """Say that the answer of a hit was right, such as after comparing it with a fresh one.

        Returns:
            Whether the hit was known.
        """
        pair = self._labels.settle(hit_id, is_error=False)
        if pair is None:
            return False
        self._labels.learn(pair, is_error=False)
        return True

    def get_stats(self) -> SemanticStats:
        """Return the counts."""
        states, false_hits = self._labels.states(), self._labels.rate()
        with self._lock:
            return collect_stats(
                self._outcomes,
                self._table,
                self._vectors.counts,
                reported_wrong=self._reported_wrong,
                false_hits=false_hits,
                states=states,
            )

    @property
    def embedder_tag(self) -> str | None:
        """The name of the space that the stored vectors lie in; None where there are none yet."""
        return self._tag

    def entries(self) -> Iterator[SemanticEntry]:
        """Yield every live entry, the one used longest ago first, as it may be written down."""
        with self._lock:
            everything = list(self._table)
        return saved_entries(everything, self._clock)

    def restore(self, entries: Iterable[SemanticEntry], *, embedder_tag: str | None = None) -> int:
        """Store entries that were written down; return how many.

        What has expired, or is here in a newer form, is passed over. Vectors of another embedder
        are dropped: such a text is found by the same text only, until it is added again.

        Args:
            entries: What `entries` yielded.
            embedder_tag: What `embedder_tag` was then.
        """
        count = 0
        for saved in entries:
            entry = restored_entry(saved, self._clock)
            now = self._clock.monotonic()
            with self._lock:
                self._adopt_tag()
                self._tag = self._tag or embedder_tag
                if self._tag != embedder_tag:
                    entry.vector = None
                old = self._table.same(entry.scope, entry.text, now)
                is_newest = old is None or old.created < entry.created
                if is_newest and entry.expires_at > now:
                    self._table.put(entry)
                    count += 1
        return count

    def calibrator_json(self) -> str:
        """Return what the calibrator has learnt, as JSON of numbers without any text."""
        return self._labels.calibrator_json()

    def restore_calibrator(self, text: str, embedder_tag: str) -> None:
        """Go on from what a calibrator had learnt, in place of what this one has.

        Args:
            text: What `calibrator_json` returned.
            embedder_tag: What `embedder_tag` was then. Where this embedder has made no vector yet,
                another tag is found out with the first one, and the calibrator starts afresh.

        Raises:
            StorageError: If it is damaged, of another version, or of another embedder.
        """
        known_tag = self._vectors.tag or self._tag
        self._labels.restore_calibrator(text, embedder_tag, known_tag=known_tag)

    def clear(self) -> None:
        """Forget every entry; counts and labels stay."""
        with self._lock:
            self._table.clear()

    def close(self) -> None:
        """End the encoder's thread; what is stored is found by the same text from then on."""
        self._vectors.close()

    def __len__(self) -> int:
        """Return how many texts there are, expired ones included that nobody came near."""
        return len(self._table)

    def renew(self) -> None:
        """Start with free locks in a forked process."""
        self._lock = threading.Lock()
        self._labels.renew()
        self._vectors.renew()

    def _look(self, query: str, scope: str, *, share: float) -> MatchExplanation:
        match, pair = self._judge(query, scope)
        if match.reason == "similar" and share and self._random_share() < share:
            match = replace(match, outcome="VERIFY", reason="shadow")
        with self._lock:
            # Another thread may have removed it while the guard was looking.
            if pair is not None and pair.entry not in self._table:
                match, pair = self._missed("removed"), None
            self._outcomes[match.outcome, match.reason] += 1
            if pair is None:
                return match
            if match.outcome == "HIT":
                self._table.touch(pair.entry)
        return replace(match, hit_id=self._labels.remember(pair))

    def _judge(
        self, query: str, scope: str, *, is_thorough: bool = False
    ) -> tuple[MatchExplanation, Pair | None]:
        """Return what was found, and the pair where it is worth a label."""
        found = self._find(query, scope)
        if isinstance(found, str):
            return self._missed(found), None
        entry, cosine = found[0]
        is_same = entry.text == query
        if not is_same and (is_thorough or cosine >= self._threshold):
            return self._weigh(query, found)
        verdict: tuple[Outcome, str] = ("HIT", "exact") if is_same else ("MISS", "below_threshold")
        match = Candidate(entry=entry, cosine=cosine).explained(
            verdict, self._threshold, self._clock.now()
        )
        return match, Pair(entry=entry) if is_same else None

    def _find(self, query: str, scope: str) -> list[tuple[Entry, float]] | str:
        """Return the nearest entries and their cosines, or why there are none."""
        with self._lock:
            same = self._table.same(scope, query, self._clock.monotonic())
            has_vectors = self._table.has_vectors(scope)
        if same is not None:
            return [(same, 1.0)]
        if len(query) > _MAX_CHARACTERS:
            return "too_long"
        if not has_vectors:
            return "absent"
        vector = self._vectors.of(query)
        if vector is None:
            return "no_vector"
        with self._lock:
            found = self._nearest(scope, vector, self._candidates)
        return found or "absent"

    def _weigh(
        self, query: str, found: list[tuple[Entry, float]]
    ) -> tuple[MatchExplanation, Pair | None]:
        question = prepare(query)
        best = choose(
            question, found, overlap_weight=self._overlap_weight, has_margin=self._margin > 0
        )
        entry, cosine = best.entry, best.cosine
        veto = None
        if abs(len(query) - len(entry.text)) > _MAX_DIFFERENCE:
            veto = "length"
        elif self._guards:
            veto = find_veto(question, entry.prepared)
        probability = self._labels.probability(question, entry, cosine)
        verdict = decide(
            similarity=cosine,
            threshold=self._threshold,
            veto=veto,
            margin=best.margin,
            min_margin=self._margin,
            probability=probability,
            error_budget=self._policy.error_budget,
            is_tripped=self._labels.is_tripped(entry.scope),
        )
        match = best.explained(
            verdict, self._threshold, self._clock.now(), veto=veto, probability=probability
        )
        if match.outcome == "MISS":
            return match, None
        return match, Pair(entry=entry, question=question, similarity=cosine)

    def _missed(self, reason: str) -> MatchExplanation:
        return MatchExplanation(outcome="MISS", reason=reason, threshold=self._threshold)

    def _encode(self, text: str) -> bytes | None:
        return self._vectors.of(text) if len(text) <= _MAX_CHARACTERS else None

    def _nearest(self, scope: str, vector: bytes, count: int) -> list[tuple[Entry, float]]:
        self._adopt_tag()
        return self._table.nearest(scope, vector, count, self._clock.monotonic())

    def _adopt_tag(self) -> None:
        """Drop what was restored once it shows that this embedder makes other vectors."""
        tag = self._vectors.tag
        if tag is None:
            return
        self._labels.adopt_tag(tag)
        if tag != self._tag and self._tag is not None:
            self._table.forget_vectors()
        self._tag = tag
