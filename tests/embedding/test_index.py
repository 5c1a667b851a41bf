from __future__ import annotations

import importlib
import sys
from array import array
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sdk_workflow.embedding.index import VectorIndex
from sdk_workflow.exceptions import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSION = 4


def vector(*numbers: float) -> array[float]:
    return array("f", numbers)


def clusters(count: int, dimension: int, seed: int = 5) -> NDArray[np.float32]:
    """Return vectors of norm 1 that lie in tens around common centres, as questions do."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((count // 10 + 1, dimension))
    found = centres[np.arange(count) // 10] + 0.3 * random.standard_normal((count, dimension))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32)


def nearest(vectors: NDArray[np.float32], query: NDArray[np.float32], k: int) -> list[int]:
    rows: list[int] = np.argsort(-(vectors @ query), kind="stable")[:k].tolist()
    return rows


class FakeGraph:
    """Stands in for `usearch.index.Index`: exact, on 8-bit vectors."""

    made: list[FakeGraph]

    def __init__(self, **options: Any) -> None:
        assert options == {"ndim": DIMENSION, "metric": "cos", "dtype": "i8"}
        self.rows: dict[int, NDArray[np.int8]] = {}
        self.searches = 0
        self.made.append(self)

    def add(self, key: int, values: NDArray[np.float32]) -> None:
        assert key not in self.rows
        self.rows[key] = np.round(values * 127).astype(np.int8)

    def remove(self, key: int) -> None:
        del self.rows[key]

    def search(self, values: NDArray[np.float32], count: int) -> Any:
        self.searches += 1
        scores = {key: float(row @ values) for key, row in self.rows.items()}
        ordered = sorted(scores, key=lambda key: -scores[key])[:count]
        return SimpleNamespace(keys=np.array([*ordered, 2**40], dtype=np.uint64))


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[FakeGraph]:
    """Install the fake and return what is made of it."""
    FakeGraph.made = []
    module = ModuleType("usearch.index")
    vars(module)["Index"] = FakeGraph
    monkeypatch.setitem(sys.modules, "usearch", ModuleType("usearch"))
    monkeypatch.setitem(sys.modules, "usearch.index", module)
    return FakeGraph.made


@pytest.fixture
def without_usearch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "usearch", None)
    monkeypatch.setitem(sys.modules, "usearch.index", None)


def filled(vectors: NDArray[np.float32], **options: Any) -> VectorIndex:
    index = VectorIndex(vectors.shape[1], **options)
    for number, row in enumerate(vectors):
        index.add(number, row.data)
    return index


def test_nearest_vectors_come_first_with_their_dot_products() -> None:
    index = VectorIndex(2)
    index.add("east", vector(1.0, 0.0))
    index.add("north", vector(0.0, 1.0))
    index.add(7, vector(-1.0, 0.0))
    assert index.search(vector(1.0, 0.5), 3) == [("east", 1.0), ("north", 0.5), (7, -1.0)]
    assert index.search(vector(1.0, 0.5)) == [("east", 1.0)]
    assert index.search(vector(1.0, 0.5), 99) == index.search(vector(1.0, 0.5), 3)
    assert (len(index), "east" in index, "west" in index) == (3, True, False)


@pytest.mark.parametrize("k", [1, 2, 5, 299, 300])
def test_search_finds_what_a_full_sort_finds_beyond_the_first_capacity(k: int) -> None:
    vectors = clusters(300, 16)
    index = filled(vectors)
    for query in clusters(20, 16, seed=6):
        found = index.search(query.data, k)
        assert [row_id for row_id, _ in found] == nearest(vectors, query, k)
        assert [score for _, score in found] == sorted((s for _, s in found), reverse=True)


def test_an_empty_index_and_a_count_of_none_find_nothing() -> None:
    index = VectorIndex(2)
    assert index.search(vector(1.0, 0.0), 5) == []
    index.add(1, vector(1.0, 0.0))
    assert index.search(vector(1.0, 0.0), 0) == []
    index.remove(1)
    assert index.search(vector(1.0, 0.0), 5) == []


def test_an_id_that_comes_again_replaces_its_vector() -> None:
    index = VectorIndex(2)
    index.add("a", vector(1.0, 0.0))
    index.add("b", vector(0.0, 1.0))
    index.add("a", vector(0.0, -1.0))
    assert len(index) == 2
    assert index.search(vector(0.0, 1.0), 5) == [("b", 1.0), ("a", -1.0)]


def test_removing_an_unknown_id_is_a_key_error_and_changes_nothing() -> None:
    index = VectorIndex(2)
    index.add("a", vector(1.0, 0.0))
    with pytest.raises(KeyError):
        index.remove("b")
    assert index.search(vector(1.0, 0.0)) == [("a", 1.0)]


def test_the_index_keeps_a_copy() -> None:
    mine = vector(1.0, 0.0)
    index = VectorIndex(2)
    index.add("a", mine)
    mine[0] = 5.0
    assert index.search(vector(1.0, 0.0)) == [("a", 1.0)]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (vector(1.0), "The vector is 4 bytes"),
        (vector(1.0, 2.0, 3.0), "The vector is 12 bytes"),
        (array("d", [1.0, 2.0]), "of the form 'd'"),
        (np.ones(4, dtype=np.float32).data[::2], "The vector is 8 bytes"),
        (vector(float("nan"), 0.0), "not finite"),
        (vector(float("inf"), 0.0), "not finite"),
        (vector(-float("inf"), float("inf")), "not finite"),
    ],
)
def test_a_vector_that_does_not_fit_is_refused(wrong: Any, why: str) -> None:
    index = VectorIndex(2)
    index.add("a", vector(1.0, 0.0))
    with pytest.raises(UsageError, match=why):
        index.add("a", wrong)
    with pytest.raises(UsageError, match=why):
        index.search(wrong)
    assert index.search(vector(1.0, 0.0)) == [("a", 1.0)]


def test_a_dimension_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot have 0 numbers"):
        VectorIndex(0)


class AgainstADict(RuleBasedStateMachine):
    """The index behaves as a dict of vectors that is searched by a full sort."""

    usearch_above = 10_000

    @initialize()
    def begin(self) -> None:
        self.index = VectorIndex(DIMENSION, usearch_above=self.usearch_above)
        self.held: dict[int | str, NDArray[np.float32]] = {}
        self.random = np.random.default_rng(3)

    @rule(row_id=st.one_of(st.integers(0, 60), st.sampled_from(["a", "b"])))
    def add(self, row_id: int | str) -> None:
        values = self.random.standard_normal(DIMENSION).astype(np.float32)
        values /= np.linalg.norm(values)
        self.index.add(row_id, values.data)
        self.held[row_id] = values

    @rule(count=st.integers(10, 90))
    def add_many(self, count: int) -> None:
        for row_id in range(count):
            self.add(row_id)

    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        if self.held:
            row_id = data.draw(st.sampled_from(sorted(self.held, key=str)))
            self.index.remove(row_id)
            del self.held[row_id]

    @rule(keep=st.integers(0, 5))
    def remove_most(self, keep: int) -> None:
        for row_id in list(self.held)[keep:]:
            self.index.remove(row_id)
            del self.held[row_id]

    @invariant()
    def finds_the_nearest(self) -> None:
        assert len(self.index) == len(self.held)
        query = self.random.standard_normal(DIMENSION).astype(np.float32)
        scores = {row_id: float(row @ query) for row_id, row in self.held.items()}
        best = sorted(scores.values(), reverse=True)
        for k in (1, 3):
            found = self.index.search(query.data, k)
            assert [score for _, score in found] == pytest.approx(best[:k], abs=1e-5)
            assert [scores[row_id] for row_id, _ in found] == pytest.approx(best[:k], abs=1e-5)


class AgainstADictWithAGraph(AgainstADict):
    """The same, crossing the bound to the graph and back."""

    usearch_above = 20


TestAgainstADict = AgainstADict.TestCase
TestAgainstADict.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)


@pytest.mark.usefixtures("graphs")
class TestAgainstADictWithAGraph(AgainstADictWithAGraph.TestCase):  # type: ignore[valid-type,misc]
    settings = settings(max_examples=15, stateful_step_count=15, deadline=None)


def test_above_the_bound_the_graph_names_candidates_and_the_matrix_decides(
    graphs: list[FakeGraph],
) -> None:
    vectors = clusters(200, DIMENSION)
    index = filled(vectors[:50], usearch_above=50)
    assert graphs == []
    for number in range(50, 200):
        index.add(number, vectors[number].data)
    (graph,) = graphs
    assert len(graph.rows) == 200
    for query in clusters(20, DIMENSION, seed=6):
        ((row_id, score),) = index.search(query.data, 1)
        assert row_id == nearest(vectors, query, 1)[0]
        assert score == pytest.approx(float(vectors[row_id] @ query))
    assert graph.searches == 20


def test_the_graph_is_filled_a_few_rows_at_a_time_and_not_asked_before_it_is_whole(
    graphs: list[FakeGraph],
) -> None:
    vectors = clusters(120, DIMENSION)
    index = filled(vectors[:101], usearch_above=100)
    (graph,) = graphs
    assert len(graph.rows) == 16
    index.search(vectors[0].data)
    assert graph.searches == 0
    sizes = []
    for number in range(101, 110):
        index.add(number, vectors[number].data)
        sizes.append(len(graph.rows))
    assert sizes == [32, 48, 64, 80, 96, 107, 108, 109, 110]
    index.search(vectors[0].data)
    assert graph.searches == 1


def test_a_row_that_leaves_while_the_graph_is_filled_does_not_come_in(
    graphs: list[FakeGraph],
) -> None:
    vectors = clusters(120, DIMENSION)
    index = filled(vectors[:101], usearch_above=100)
    for number in range(10):
        index.remove(number)
    index.add(20, vectors[20].data)  # waits twice now
    for number in range(101, 112):
        index.add(number, vectors[number].data)
    (graph,) = graphs
    assert len(graph.rows) == len(index) == 102
    assert index.search(vectors[50].data)[0][0] == 50
    assert graph.searches == 1


def test_a_replaced_row_is_replaced_in_the_graph(graphs: list[FakeGraph]) -> None:
    vectors = clusters(40, DIMENSION)
    index = filled(vectors, usearch_above=20)
    index.add(3, (-vectors[3]).data)
    assert len(graphs[0].rows) == len(index) == 40
    assert index.search((-vectors[3]).data)[0][0] == 3


def test_far_below_the_bound_the_graph_is_given_up_and_made_anew(graphs: list[FakeGraph]) -> None:
    vectors = clusters(40, DIMENSION)
    index = filled(vectors, usearch_above=20)
    for number in range(29):
        index.remove(number)
    index.search(vectors[35].data)
    assert graphs[0].searches == 1
    index.remove(29)
    assert index.search(vectors[35].data)[0][0] == 35
    assert graphs[0].searches == 1
    for number in range(30):
        index.add(number, vectors[number].data)
    assert len(graphs) == 2
    assert len(graphs[1].rows) == 40


@pytest.mark.usefixtures("without_usearch")
def test_without_usearch_the_matrix_goes_on_and_it_is_looked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    find = importlib.import_module

    def watched(name: str) -> ModuleType:
        asked.append(name)
        return find(name)

    monkeypatch.setattr(importlib, "import_module", watched)
    vectors = clusters(80, DIMENSION)
    index = filled(vectors, usearch_above=20)
    assert asked == ["usearch.index"]
    assert [row_id for row_id, _ in index.search(vectors[5].data, 3)] == nearest(
        vectors, vectors[5], 3
    )


def test_the_real_library_finds_what_a_full_sort_finds() -> None:
    pytest.importorskip("usearch.index", reason="usearch is not installed")
    vectors = clusters(2000, 64)
    index = filled(vectors, usearch_above=1000)
    for number in range(0, 2000, 7):
        index.remove(number)
    kept = np.array([number for number in range(2000) if number % 7])
    right = 0
    for query in clusters(100, 64, seed=5) + np.float32(0.01):
        found = [row_id for row_id, _ in index.search(query.data, 5)]
        assert not {number for number in found if isinstance(number, int)} & set(range(0, 2000, 7))
        right += found[0] == kept[nearest(vectors[kept], query, 1)[0]]
    assert right >= 98


@pytest.mark.parametrize("dimension", [1, 2, 3, 384, 768, 4096, 20_000])
def test_no_piece_is_large_enough_for_blas_to_start_threads(dimension: int) -> None:
    index = VectorIndex(dimension)
    random = np.random.default_rng(dimension)
    vectors = random.standard_normal((30, dimension)).astype(np.float32)
    for number, row in enumerate(vectors):
        index.add(number, row.data)
    rows = index._piece_rows
    assert rows == 1 or rows * dimension < 9_216
    assert len(index._matrix) % rows == 0
    assert index.search(vectors[7].data)[0][0] == nearest(vectors, vectors[7], 1)[0]
