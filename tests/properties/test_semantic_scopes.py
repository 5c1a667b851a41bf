"""Whatever is stored and asked, no answer crosses a scope, and the same text is always answered."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sdk_workflow.core.semantic.guard import find_veto, prepare
from tests.semantic_fakes import World

SCOPES = st.sampled_from(["", "tenant a", "tenant b", "tenant b, other model"])
COSINES = {f"text {name}": cosine for name, cosine in zip("abcdef", (1, 0.99, 0.96, 0.95, 0.9, -1), strict=True)}  # fmt: skip
TEXTS = st.sampled_from(sorted(COSINES))
MAX_ENTRIES = 6


class ScopesMachine(RuleBasedStateMachine):
    """Stores answers that name their scope and text, with a lifetime, in too small a cache."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(COSINES, max_entries=MAX_ENTRIES)
        self.alive_until: dict[tuple[str, str], float] = {}

    def teardown(self) -> None:
        self.world.cache.close()

    @rule(text=TEXTS, scope=SCOPES, ttl=st.sampled_from([5, 50]))
    def add(self, text: str, scope: str, ttl: float) -> None:
        self.world.cache.add(text, (scope, text), scope=scope, ttl=ttl)
        self.alive_until[scope, text] = self.world.clock.now() + ttl
        assert self.world.cache.get_if_similar(text, scope=scope) == (scope, text)

    @rule(text=TEXTS, scope=SCOPES, share=st.sampled_from([0.0, 0.99]))
    def look(self, text: str, scope: str, share: float) -> None:
        self.world.shares.value = share
        match = self.world.cache.lookup(text, scope=scope)
        if match.outcome == "MISS":
            assert match.response is match.hit_id is None
            return
        found_scope, found_text = match.response
        assert found_scope == scope
        assert self.alive_until[scope, found_text] > self.world.clock.now()
        assert match.similarity is not None
        assert match.similarity >= 0.95 - 1e-6
        assert (match.reason == "exact") == (found_text == text)

    @rule(text=TEXTS, scope=SCOPES)
    def neighbours(self, text: str, scope: str) -> None:
        for found, _ in self.world.cache.find_similar(text, scope=scope):
            assert self.alive_until[scope, found] > self.world.clock.now()

    @rule(text=TEXTS, scope=SCOPES)
    def report(self, text: str, scope: str) -> None:
        match = self.world.cache.lookup(text, scope=scope)
        if match.hit_id is not None:
            _, wrong = match.response
            assert self.world.cache.report_wrong(match.hit_id)
            assert wrong not in dict(self.world.cache.find_similar(wrong, scope=scope))

    @rule(seconds=st.integers(0, 6))
    def wait(self, seconds: int) -> None:
        self.world.clock.advance(seconds)

    @rule()
    def write_down_and_read_back(self) -> None:
        saved = list(self.world.cache.entries())
        tag = self.world.cache.embedder_tag
        self.world.cache.clear()
        assert self.world.cache.restore(saved, embedder_tag=tag) == len(saved)
        assert list(self.world.cache.entries()) == saved

    @invariant()
    def tables_agree(self) -> None:
        table = self.world.cache._table
        by_scope = {(entry.scope, entry.text): entry for entry in table}
        assert len(by_scope) == len(table) <= MAX_ENTRIES
        stored = {
            (name, text): entry
            for name, scope in table._scopes.items()
            for text, entry in scope.by_text.items()
        }
        assert stored == by_scope
        for scope in table._scopes.values():
            with_vector = [entry for entry in scope.by_text.values() if entry.vector is not None]
            assert len(scope.index or ()) == len(with_vector)


TestScopes = ScopesMachine.TestCase
TestScopes.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@given(text=st.text(max_size=200))
def test_text_is_never_vetoed_against_itself(text: str) -> None:
    assert find_veto(prepare(text), prepare(text)) is None


@settings(max_examples=30, deadline=None)
@given(text=st.text(max_size=600), scope=st.text(max_size=5))
def test_same_text_is_a_hit_in_its_scope_and_nowhere_else(text: str, scope: str) -> None:
    world = World()
    world.cache.add(text, 1, scope=scope)
    assert world.cache.get_if_similar(text, scope=scope) == 1
    assert world.cache.get_if_similar(text, scope=scope + "x") is None
    world.cache.close()
