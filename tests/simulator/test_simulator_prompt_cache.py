from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sdk_workflow.simulator.prompt_cache import (
    Block,
    Books,
    Breakpoint,
    Lookup,
    PromptCache,
    keys_of,
)


def blocks(*names: str, tokens: int = 1000, tier: str = "messages") -> list[Block]:
    return [Block(tier, name.encode(), tokens) for name in names]


def ask(
    cache: PromptCache,
    prompt: list[Block],
    *breakpoints: int | tuple[int, str],
    now: float = 0.0,
    minimum: int = 0,
    scope: bytes = b"",
    salts: dict[str, bytes] | None = None,
    is_begun: bool = True,
) -> Books:
    marked = [(b, "5m") if isinstance(b, int) else b for b in breakpoints]
    books = cache.look_up(
        Lookup(
            scope=scope,
            blocks=prompt,
            breakpoints=[Breakpoint(position, ttl) for position, ttl in marked],
            min_tokens=minimum,
            salts=salts or {},
        ),
        now=now,
    )
    if is_begun:
        cache.commit(books.pending)
    return books


def numbered(count: int) -> list[Block]:
    return blocks(*(str(number) for number in range(count)), tokens=100)


def test_the_first_request_writes_and_the_second_reads() -> None:
    cache, prompt = PromptCache(), blocks("a", "b", "c")
    first, second = ask(cache, prompt, 1), ask(cache, prompt, 1)
    assert (first.read_tokens, first.write_5m_tokens, first.uncached_tokens) == (0, 2000, 1000)
    assert (second.read_tokens, second.write_5m_tokens, second.uncached_tokens) == (2000, 0, 1000)
    assert (second.hit, second.hit_breakpoint, second.pending) == (1, 0, ())


def test_a_read_that_is_taken_back_has_refreshed_nothing() -> None:
    cache, prompt = PromptCache(), blocks("a")
    written = ask(cache, prompt, 0)
    cache.take_back(written)
    cache.take_back(ask(cache, prompt, 0, now=200))
    assert ask(cache, prompt, 0, now=299).read_tokens == 1000
    assert ask(cache, prompt, 0, now=301).read_tokens == 1000
    again = PromptCache()
    ask(again, prompt, 0)
    again.take_back(ask(again, prompt, 0, now=200))
    assert ask(again, prompt, 0, now=301).read_tokens == 0


def test_a_read_that_is_taken_back_leaves_the_refresh_of_a_later_one() -> None:
    cache, prompt = PromptCache(max_entries=1), blocks("a")
    ask(cache, prompt, 0)
    refused = ask(cache, prompt, 0, now=200)
    ask(cache, prompt, 0, now=250)
    cache.take_back(refused)
    assert ask(cache, prompt, 0, now=301).read_tokens == 1000
    ask(cache, blocks("b"), 0)
    cache.take_back(refused)
    assert len(cache) == 1


def test_without_breakpoints_nothing_is_cached() -> None:
    cache = PromptCache()
    assert ask(cache, blocks("a")) == Books(uncached_tokens=1000)
    assert len(cache) == 0


@pytest.mark.parametrize(("seconds", "read"), [(299, 1000), (300, 0), (301, 0)])
def test_an_entry_lives_five_minutes_from_the_start_of_its_request(seconds: int, read: int) -> None:
    cache = PromptCache()
    ask(cache, blocks("a"), 0)
    assert ask(cache, blocks("a"), 0, now=seconds).read_tokens == read


@pytest.mark.parametrize(("seconds", "read"), [(3599, 1000), (3601, 0)])
def test_an_entry_of_one_hour_lives_one_hour(seconds: int, read: int) -> None:
    cache = PromptCache()
    assert ask(cache, blocks("a"), (0, "1h")).write_1h_tokens == 1000
    assert ask(cache, blocks("a"), (0, "1h"), now=seconds).read_tokens == read


def test_a_read_refreshes_an_entry_for_free() -> None:
    cache = PromptCache()
    for now in (0, 299, 598):
        ask(cache, blocks("a"), 0, now=now)
    books = ask(cache, blocks("a"), 0, now=897)
    assert (books.read_tokens, books.write_5m_tokens) == (1000, 0)
    assert ask(cache, blocks("a"), 0, now=897 + 301).read_tokens == 0


def test_a_read_refreshes_at_the_entrys_own_lifetime_and_does_not_turn_it_into_an_hour() -> None:
    cache = PromptCache()
    ask(cache, blocks("a"), 0)
    books = ask(cache, blocks("a"), (0, "1h"), now=200)
    assert (books.read_tokens, books.write_1h_tokens) == (1000, 0)
    assert ask(cache, blocks("a"), (0, "1h"), now=200 + 301).read_tokens == 0


def test_a_read_refreshes_the_entry_that_was_read_and_not_the_shorter_ones() -> None:
    cache = PromptCache()
    ask(cache, blocks("a", "b"), 0, 1)
    ask(cache, blocks("a", "b"), 1, now=200)
    assert ask(cache, blocks("a", "c"), 0, now=350).read_tokens == 0
    assert ask(cache, blocks("a", "b"), 1, now=350).read_tokens == 2000


def test_an_entry_can_be_read_once_its_writer_has_begun_to_answer_and_not_before() -> None:
    cache, prompt = PromptCache(), blocks("a")
    writers = [ask(cache, prompt, 0, is_begun=False) for _ in range(3)]
    assert [books.read_tokens for books in writers] == [0, 0, 0]
    cache.commit(writers[0].pending)
    assert ask(cache, prompt, 0).read_tokens == 1000


def test_what_was_never_committed_was_never_written() -> None:
    cache = PromptCache()
    ask(cache, blocks("a"), 0, is_begun=False)
    assert ask(cache, blocks("a"), 0).read_tokens == 0


def test_a_late_writer_does_not_shorten_the_life_of_an_entry() -> None:
    cache = PromptCache()
    early = ask(cache, blocks("a"), 0, now=0, is_begun=False)
    ask(cache, blocks("a"), (0, "1h"), now=10)
    cache.commit(early.pending)
    assert ask(cache, blocks("a"), 0, now=3000).read_tokens == 1000


@pytest.mark.parametrize(("distance", "read"), [(19, 1000), (20, 1000), (21, 0), (40, 0)])
def test_a_breakpoint_looks_back_over_twenty_blocks_and_no_further(
    distance: int, read: int
) -> None:
    cache, prompt = PromptCache(), numbered(60)
    ask(cache, prompt[:10], 9)
    books = ask(cache, prompt[: 10 + distance], 9 + distance)
    assert books.read_tokens == read
    assert books.write_5m_tokens == (10 + distance) * 100 - read


def test_an_intermediate_breakpoint_finds_what_the_last_one_cannot() -> None:
    cache, prompt = PromptCache(), numbered(60)
    ask(cache, prompt[:10], 9)
    books = ask(cache, prompt[:50], 25, 49)
    assert (books.read_tokens, books.hit, books.hit_breakpoint) == (1000, 9, 0)


def test_the_lookback_is_a_parameter() -> None:
    cache, prompt = PromptCache(lookback=2), numbered(10)
    ask(cache, prompt[:3], 2)
    assert ask(cache, prompt[:5], 4).read_tokens == 300
    ask(cache, prompt[:3], 2)
    assert ask(PromptCache(lookback=1), prompt[:5], 4).read_tokens == 0


@pytest.mark.parametrize(("tokens", "written"), [(511, 0), (512, 512)])
def test_a_prefix_below_the_minimum_is_silently_left_uncached(tokens: int, written: int) -> None:
    cache = PromptCache()
    books = ask(cache, blocks("a", tokens=tokens), 0, minimum=512)
    assert (books.write_5m_tokens, books.uncached_tokens) == (written, tokens - written)
    assert ask(cache, blocks("a", tokens=tokens), 0, minimum=512).read_tokens == written


def test_the_longest_hit_wins_whatever_breakpoint_finds_it() -> None:
    cache, prompt = PromptCache(), numbered(8)
    ask(cache, prompt, 1, 3, 5)
    books = ask(cache, prompt, 1, 3, 7)
    assert (books.hit, books.hit_breakpoint, books.read_tokens) == (5, 2, 600)


def test_writes_are_split_by_the_last_breakpoint_of_one_hour() -> None:
    books = ask(PromptCache(), numbered(10), (2, "1h"), (5, "5m"))
    assert (books.write_1h_tokens, books.write_5m_tokens, books.uncached_tokens) == (300, 300, 400)
    cache = PromptCache()
    ask(cache, numbered(10), (2, "1h"))
    books = ask(cache, numbered(10), (2, "1h"), (5, "5m"))
    assert (books.read_tokens, books.write_1h_tokens, books.write_5m_tokens) == (300, 0, 300)


def test_scopes_never_share_entries() -> None:
    cache = PromptCache()
    ask(cache, blocks("a"), 0, scope=b"one")
    assert ask(cache, blocks("a"), 0, scope=b"two").read_tokens == 0


TIERED = [
    *blocks("t", tier="tools"),
    *blocks("s", tier="system"),
    *blocks("m", tier="messages"),
]


@pytest.mark.parametrize(
    ("salt", "read"), [({"system": b"x"}, 1000), ({"messages": b"x"}, 2000), ({}, 3000)]
)
def test_a_salt_invalidates_its_tier_and_what_comes_behind_it(
    salt: dict[str, bytes], read: int
) -> None:
    cache = PromptCache()
    ask(cache, TIERED, 0, 1, 2)
    assert ask(cache, TIERED, 0, 1, 2, salts=salt).read_tokens == read


def test_the_salt_of_a_tier_without_blocks_still_counts() -> None:
    cache, prompt = PromptCache(), [TIERED[0], TIERED[2]]
    ask(cache, prompt, 0, 1)
    assert ask(cache, prompt, 0, 1, salts={"system": b"x"}).read_tokens == 1000


def test_the_entries_that_were_used_longest_ago_are_forgotten_first() -> None:
    cache = PromptCache(max_entries=2)
    ask(cache, blocks("a"), 0)
    ask(cache, blocks("b"), 0)
    ask(cache, blocks("a"), 0)
    ask(cache, blocks("c"), 0)
    assert len(cache) == 2
    assert ask(cache, blocks("a"), 0).read_tokens == 1000
    assert ask(cache, blocks("b"), 0).read_tokens == 0


NAMES = st.lists(st.sampled_from("ab"), min_size=1, max_size=30)


@given(
    prompts=st.lists(
        st.tuples(
            NAMES,
            st.lists(st.tuples(st.integers(0, 29), st.sampled_from(["5m", "1h"])), max_size=4),
            st.integers(0, 4000),
        ),
        max_size=12,
    ),
    minimum=st.integers(0, 2000),
)
def test_the_books_always_balance_and_nothing_is_read_that_was_not_written(
    prompts: list[tuple[list[str], list[tuple[int, str]], int]], minimum: int
) -> None:
    cache, written = PromptCache(), set()
    now = 0.0
    for names, marks, pause in prompts:
        now += pause
        prompt = blocks(*names, tokens=97)
        placed = sorted((at, ttl) for at, ttl in dict(marks).items() if at < len(prompt))
        books = ask(cache, prompt, *placed, now=now, minimum=minimum)
        assert books.total_tokens == 97 * len(prompt)
        counts = (
            books.read_tokens, books.write_5m_tokens, books.write_1h_tokens, books.uncached_tokens
        )  # fmt: skip
        assert min(counts) >= 0
        if books.hit is not None:
            assert tuple(names[: books.hit + 1]) in written
        written |= {tuple(names[: position + 1]) for position, _ in placed}


@given(one=NAMES, two=NAMES)
def test_equal_keys_are_equal_prefixes(one: list[str], two: list[str]) -> None:
    keys = [keys_of(Lookup(scope=b"", blocks=blocks(*names))) for names in (one, two)]
    for position, (left, right) in enumerate(zip(*keys, strict=False)):
        assert (left == right) is (one[: position + 1] == two[: position + 1])
