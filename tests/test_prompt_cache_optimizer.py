"""The optimiser: which breakpoints a call gets, and for how long, from what was seen before."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from sdk_workflow.core.cache import PromptCacheOptimizer
from sdk_workflow.simulator.tokens import PseudoTokenizer
from sdk_workflow.types import Call, Usage
from tests.prompt_caching.prompts import (
    RULES,
    Desk,
    assistant,
    call,
    exchange,
    marks_of,
    reply,
    result,
    text,
    tool,
    use,
    user,
    words,
)

LONE: dict[str, Any] = {"session_id": None}


def conversation(turns: int, **sizes: int) -> list[Any]:
    """Return the messages of a conversation after so many tool calls."""
    messages: list[Any] = [user("Count the sacks.")]
    for number in range(turns):
        messages += exchange(number, **sizes)
    return messages


def held(desk: Desk, gaps: list[float], **fields: Any) -> dict[str, Any]:
    """Hold a conversation with these gaps and return the last call's breakpoints."""
    marks: dict[str, Any] = {}
    for turn, gap in enumerate(gaps):
        marks = desk.marks(call(*conversation(turn), **fields), after=gap)
    return marks


def test_the_end_is_left_to_the_automatic_caching_and_the_prefix_is_marked() -> None:
    marks = Desk().marks(call(user("Hi"), tools=(tool(),)))
    assert marks == {"tools.0": "5m", "system.0": "5m", "automatic": "5m"}


def test_the_end_is_marked_itself_where_the_server_has_no_automatic_caching() -> None:
    assert Desk(automatic=False).marks(call(user("Hi"))) == {"system.0": "5m", "messages.0.0": "5m"}


def test_a_prompt_below_the_minimum_is_left_alone() -> None:
    short = call(user("Hi"), system="Be brief.")
    assert Desk().build(short) is short


def test_the_minimum_is_that_of_the_model() -> None:
    between = RULES[:6_000]  # about 2,000 tokens
    assert Desk().marks(call(system=between, model="claude-haiku-4-5")) == {}
    assert Desk().marks(call(system=between))


def test_a_short_prefix_before_a_long_message_is_not_marked() -> None:
    marks = Desk().marks(call(user(words("long", 2_000)), system="Be brief."))
    assert marks == {"automatic": "5m"}


def test_a_token_counter_of_ones_own_decides_on_the_minimum() -> None:
    class Tiny:
        def count(self, params: Any) -> int:  # noqa: ARG002 - the protocol's form
            return 1

    assert Desk(counter=Tiny()).marks(call()) == {}


def test_an_unknown_model_gets_breakpoints_from_1024_tokens_on() -> None:
    assert Desk().marks(call(model="claude-new-9"))
    assert Desk().marks(call(model="claude-new-9", system=RULES[:2_700])) == {}


def test_a_lone_question_is_not_written_but_its_system_prompt_is() -> None:
    assert Desk().marks(call(user("Hi"), **LONE)) == {"system.0": "5m"}


def test_questions_that_go_on_are_written_once_that_was_seen() -> None:
    desk = Desk()
    for number in range(5):
        first = user(f"Question {number}")
        desk.marks(call(first, **LONE))
        desk.marks(call(first, assistant("Yes."), user("And?"), **LONE))
    assert desk.marks(call(user(words("Another")), **LONE))["automatic"] == "5m"


def test_first_questions_of_sessions_are_not_written_once_none_went_on() -> None:
    desk = Desk()
    marks: dict[str, Any] = {}
    for number in range(8):
        marks = desk.marks(call(user(words("Hi", 300)), session_id=str(number)))
    assert marks == {"system.0": "5m"}


def test_the_call_itself_never_changes() -> None:
    before = call(*conversation(3), tools=(tool(),))
    copy = call(*conversation(3), tools=(tool(),))
    Desk(automatic=False).build(before)
    assert before == copy


def test_a_call_that_was_built_comes_back_as_it_is() -> None:
    desk = Desk()
    built = desk.build(call(*conversation(2), tools=(tool(),)))
    assert desk.build(built, after=0) is built


def test_the_same_call_again_is_counted_once() -> None:
    desk, once = Desk(), Desk()
    for number in range(8):
        for _ in range(3):
            desk.marks(call(user("Hi"), session_id=str(number)), after=0.1)
        once.marks(call(user("Hi"), session_id=str(number)), after=0.3)
    assert desk.marks(call(user("Hi"))) == once.marks(call(user("Hi")))


def test_another_call_of_the_same_length_within_a_second_is_a_call_of_its_own() -> None:
    desk = Desk()
    desk.marks(call(user("Hi"), assistant("a"), user(text(), text(), text())))
    marks = desk.marks(call(user("Hi"), assistant("a"), user("b")), after=0)
    assert marks["automatic"]


# The look-back


def parallel(count: int, *before: Any) -> list[Any]:
    return [
        *(before or (user("Count."),)),
        assistant(*[use(100 + number) for number in range(count)]),
        user(*[result(100 + number, words("r", 100)) for number in range(count)]),
    ]


@pytest.mark.parametrize(("count", "is_marked"), [(9, False), (10, False), (11, True), (25, True)])
def test_a_long_turn_gets_a_breakpoint_behind_the_last_entry(
    *, count: int, is_marked: bool
) -> None:
    desk = Desk()
    for turn in range(13):
        desk.ask(call(*conversation(turn)))
    built = desk.build(call(*parallel(count, *conversation(12))))
    assert ("messages.25.0" in marks_of(built)) is is_marked
    assert desk.send(built).usage.cache_read_input_tokens > 5_000


def test_twenty_one_blocks_are_one_too_many() -> None:
    desk = Desk()
    for turn in range(13):
        desk.ask(call(*conversation(turn)))
    *before, results = parallel(10, *conversation(12))
    results["content"].append(text("And this."))
    assert "messages.25.0" in desk.marks(call(*before, results))


def test_a_long_turn_whose_first_call_was_sent_elsewhere_is_read_all_the_same() -> None:
    desk, other = Desk(), Desk()
    other.engine, other.clock = desk.engine, desk.clock
    desk.send(desk.build(call(user(words("Count.", 3_000)))))
    messages = [user(words("Count.", 3_000)), *parallel(15)[1:]]
    usage = other.send(other.optimizer.build_cached_request(call(*messages))).usage
    assert usage.cache_read_input_tokens > 5_000


def test_a_held_conversationfound_in_another_process_with_short_turns_needs_no_more() -> None:
    assert Desk().marks(call(*conversation(3))) == {"system.0": "5m", "automatic": "5m"}


# Lifetimes


def test_short_gaps_ask_for_five_minutes() -> None:
    marks = held(Desk(), [20.0] * 12, tools=(tool(),))
    assert marks == {"tools.0": "5m", "system.0": "5m", "automatic": "5m"}


def test_pauses_ask_for_an_hour() -> None:
    marks = held(Desk(), [0.0, 1_200.0, 1_200.0], tools=(tool(),))
    assert marks == {"tools.0": "1h", "system.0": "1h", "automatic": "1h"}


def test_now_and_then_a_pause_asks_for_an_hour_for_the_history_alone() -> None:
    marks = held(Desk(), [0.0, *[20.0] * 6, 1_200.0, 20.0, 20.0], tools=(tool(),))
    assert marks["automatic"] == "5m"
    assert [path for path, ttl in marks.items() if ttl == "1h" and "messages" in path]
    assert marks["system.0"] == marks["tools.0"] == "1h"


def test_the_history_is_read_after_a_pause() -> None:
    desk = Desk()
    usage = Usage()
    for turn, gap in enumerate([0.0, *[20.0] * 6, 1_200.0, 20.0, 20.0, 1_200.0]):
        usage = desk.ask(call(*conversation(turn), tools=(tool(),)), after=gap)
    assert usage.cache_read_input_tokens > 0.8 * usage.prompt_tokens


def test_gaps_beyond_an_hour_ask_for_nothing() -> None:
    assert held(Desk(), [0.0, *[20_000.0] * 6]) == {}


def test_an_entry_is_still_read_where_the_end_is_not_worth_writing() -> None:
    desk = Desk()
    messages: list[Any] = []
    marks: dict[str, Any] = {}
    for number in range(8):  # what the user says last is always cut off again
        messages = [user(f"Open {number}"), *exchange(number)]
        desk.ask(call(*messages), after=20)
        messages += [assistant("a"), user(words(f"b {number}", 900))]
        marks = desk.marks(call(*messages), after=20)
    assert marks == {"system.0": "5m", "messages.2.0": "5m"}
    messages += [assistant("c"), user(words("d", 900))]
    last = call(*messages)
    desk.build(last, after=295)  # of a reading, which has prolonged it
    held_conversation = desk.optimizer._memory.find_conversation(last)
    assert held_conversation is not None
    plan = held_conversation.plan
    assert plan is not None
    assert plan.expected_read_tokens > plan.prefix.whole.tokens


def test_a_prefix_that_is_used_every_twenty_minutes_lives_for_an_hour() -> None:
    desk = Desk()
    marks: dict[str, Any] = {}
    for number in range(4):
        marks = desk.marks(call(user(f"Question {number}"), **LONE), after=1_200)
    assert marks == {"system.0": "1h"}


def test_a_prefix_that_is_used_daily_is_not_written() -> None:
    desk = Desk()
    marks: dict[str, Any] = {}
    for number in range(5):
        marks = desk.marks(call(user(f"Question {number}"), **LONE), after=86_400)
    assert marks == {}


def test_a_prefix_that_is_used_daily_among_busy_ones_is_not_written() -> None:
    desk = Desk()
    daily: list[dict[str, Any]] = []
    for day in range(6):
        for number in range(10):
            desk.marks(call(user(f"Question {day} {number}"), **LONE))
        rare = call(user(f"Day {day}"), system=RULES + "Sum up.", **LONE)
        daily.append(desk.marks(rare, after=86_400))
    assert (daily[0], daily[-1]) == ({"system.0": "5m"}, {})


def test_a_prefix_counts_as_readable_ten_seconds_after_it_was_sent() -> None:
    desk = Desk()
    desk.build(call(user("a"), **LONE))
    desk.clock.advance(9)
    assert desk.optimizer.prepare(call(user("b"), **LONE)).cold_prefix is not None
    desk.clock.advance(1)
    assert desk.optimizer.prepare(call(user("c"), **LONE)).cold_prefix is None


def test_a_session_may_do_the_work_of_several_operations() -> None:
    desk = Desk()
    for turn in range(9):
        marks = desk.marks(call(*conversation(turn), operation=str(turn % 4)))
        assert marks["automatic"]


def test_a_system_prompt_that_always_changes_is_not_written_but_the_tools_are() -> None:
    desk = Desk()
    marks: dict[str, Any] = {}
    for number in range(8):
        system = f"It is {number} o'clock. {RULES}"
        marks = desk.marks(call(user("Hi"), system=system, tools=(tool(),), session_id=str(number)))
    assert marks == {"tools.0": "5m"}


def test_a_history_that_is_cut_at_its_front_is_not_written_for_long() -> None:
    desk, messages = Desk(), conversation(12)
    marks: dict[str, Any] = {}
    for turn in range(8):
        marks = desk.marks(call(user(f"From {turn}"), *messages[1 + 2 * turn : 9 + 2 * turn]))
    assert marks == {"system.0": "5m"}


def test_the_models_of_a_session_have_caches_of_their_own() -> None:
    desk = Desk()
    desk.ask(call())
    prepared = desk.optimizer.prepare(call(model="claude-opus-5-5"))
    assert prepared.cold_prefix is not None


def test_tenants_have_caches_of_their_own() -> None:
    desk = Desk()
    desk.optimizer.note_answering(desk.build(call(tenant="a", **LONE)))
    assert desk.optimizer.prepare(call(user("x"), tenant="a", **LONE)).cold_prefix is None
    assert desk.optimizer.prepare(call(user("x"), tenant="b", **LONE)).cold_prefix is not None


# Limits and threads


def test_what_was_used_longest_ago_is_forgotten() -> None:
    desk = Desk(max_conversations=10)
    for number in range(12):
        desk.ask(call(session_id=str(number), system=f"{number} {RULES}"))
    memory = desk.optimizer._memory
    assert len(memory._conversations._records) == 10
    assert len(memory._prefixes._records) == 1


def test_what_was_used_lately_is_kept() -> None:
    desk = Desk(max_conversations=2)
    for name in ("old", "other", "old", "new"):
        desk.build(call(session_id=name))
    kept = [desk.optimizer._memory.find_conversation(call(session_id=n)) for n in ("old", "other")]
    assert [each is None for each in kept] == [False, True]


def test_threads_may_share_an_optimizer() -> None:
    optimizer, built = PromptCacheOptimizer(), list[Call]()

    def work(name: str) -> None:
        for turn in range(30):
            built.append(optimizer.build_cached_request(call(*conversation(turn), session_id=name)))

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 120
    opened = optimizer._memory.operation(call()).by_kind["opening"]
    assert (opened.calls, opened.within_5m) == (4, 4)


def test_the_estimate_leaves_the_optimizer_as_it_was() -> None:
    desk = Desk(counter=PseudoTokenizer())
    desk.optimizer.estimate_cache_savings([call(user("Hi"))] * 9)
    assert desk.optimizer._memory.find_conversation(call()) is None


def test_explain_knows_the_call_with_and_without_its_breakpoints() -> None:
    desk = Desk()
    built = desk.build(call())
    got = reply(cache_write_5m_input_tokens=2_000)
    assert desk.optimizer.explain(call(), got) == desk.optimizer.explain(built, got)
    assert desk.optimizer.explain(built, got).reason == "first_sight"
