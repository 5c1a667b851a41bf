"""The guard as a whole: which pairs it keeps apart, which it lets through, and its promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk_workflow.core.semantic.guard import (
    VETO_NAMES,
    PreparedText,
    find_veto,
    measure_overlap,
    prepare,
)

_VETOED = {
    "version": [
        ("What is new in Redis 7.2.1?", "What is new in Redis 7.2.4?"),
        ("Does it run on version 3?", "Does it run on version 4?"),
        ("Is release 8 out?", "Is v9 out?"),
    ],
    "number": [
        ("How do I sleep 8 hours?", "How do I sleep 6 hours?"),
        ("Is three meals a day enough?", "Is two meals a day enough?"),
        ("Is Ruby 3.10 slow?", "Is Ruby 3.1 slow?"),
        ("Who ruled France under Louis XIV?", "Who ruled France under Louis XVI?"),
        ("What is 6 * 7?", "What is 6 + 7?"),
        ("What is 9 - 4?", "What is 9 / 4?"),
        ("What is 3 + 3?", "What is 3 + 3 + 3?"),
        ("Is -5 degrees cold?", "Is 5 degrees cold?"),
        ("Who came first at the fair?", "Who came third at the fair?"),
        ("Would you lend me 1 million?", "Would you lend me 2 million?"),
    ],
    "date": [
        ("Is the museum open on Monday?", "Is the museum open on Friday?"),
        ("What is the weather like in May?", "What is the weather like in June?"),
        ("Will it rain tomorrow in Leeds?", "Did it rain yesterday in Leeds?"),
    ],
    "unit": [
        ("Is a marathon measured in miles?", "Is a marathon measured in kilometres?"),
        ("What do I get for a dollar?", "What do I get for a euro?"),
        ("How warm is 30 celsius?", "How warm is 30 fahrenheit?"),
    ],
    "negation": [
        ("Why do cats like water?", "Why don't cats like water?"),
        ("Why do cats like water?", "Why don\u2019t cats like water?"),
        ("Can I drive in Norway?", "Can I not drive in Norway?"),
        ("Is tea with milk healthy?", "Is tea without milk healthy?"),
        ("How do I keep my bike from rusting?", "How do I stop my bike rusting?"),
    ],
    "antonym": [
        ("How do I increase the font size?", "How do I decrease the font size?"),
        ("Is it legal to fish here?", "Is it illegal to fish here?"),
        ("Which soap is harmful?", "Which soap is harmless?"),
        ("How many shops are open?", "How many shops are closed?"),
        ("What must an employer sign?", "What must an employee sign?"),
        ("What should he wear?", "What should she wear?"),
        ("Which rules held before the war?", "Which rules held after the war?"),
        ("Is more salt and more pepper good?", "Is less salt and more pepper good?"),
        ("Are these tyres reliable?", "Are these tyres unreliable?"),
    ],
    "tense": [
        ("Who will win the cup?", "Who won the cup?"),
        ("Which bridge will they close?", "Which bridge have they closed?"),
    ],
    "person": [
        ("What is my job about?", "What is your job about?"),
        ("Is this good for me?", "Is this good for him?"),
        ("Which hat is the best?", "Which hat is the best for me?"),
    ],
    "condition": [("May I leave early?", "May I leave early if it snows?")],
    "direction": [
        ("When do trains leave to Vienna?", "When do trains leave from Vienna?"),
        ("Which members spoke for the plan?", "Which members spoke against the plan?"),
    ],
    "identifier": [
        ("What does load_user() do?", "What does save_user() do?"),
        ("Why is https://example.org/a slow?", "Why is https://example.org/b slow?"),
        ("What does parseInt do here?", "What does parseFloat do here?"),
        ("Who reads /etc/hosts today?", "Who reads /etc/passwd today?"),
    ],
    "quoted": [
        ('What does "carpe diem" mean?', 'What does "carpe noctem" mean?'),
        ("What does the word 'so' add?", "What does the word 'as' add?"),
    ],
    "symbol": [("Is p == q a test?", "Is p === q a test?")],
    "case": [("Is CO used in labs?", "Is Co used in labs?")],
    "quantifier": [
        ("Which shops sell tea?", "Which shops only sell tea?"),
        ("Should I feed it once?", "Should I feed it twice?"),
        ("Who was the last emperor?", "Who was the emperor?"),
    ],
    "entity": [
        ("What can I see in Lisbon?", "What can I see in Porto?"),
        ("How do I close my account?", "How do I close my account with Barclays?"),
        ("Is C# hard to learn?", "Is C++ hard to learn?"),
        ("Is vitamin A good?", "Is vitamin B good?"),
    ],
    "wording": [
        ("How do I paint a door?", "How do I paint a fence?"),
        ("is java fast", "is rust fast"),
        ("Who owns the Hill Shop?", "Who owns the Hill Store?"),
    ],
    "order": [
        ("How do I turn a PDF into a JPG?", "How do I turn a JPG into a PDF?"),
        ("Do lions hunt hyenas?", "Do hyenas hunt lions?"),
        ("Is silver heavier than iron?", "Is iron heavier than silver?"),
    ],
    "question": [
        ("Why does bread rise?", "How does bread rise?"),
        ("Should I peel carrots?", "Do I peel carrots?"),
        ("Who built the tower?", "Who built the tower and when?"),
        ("What is a lens?", "What is a lens? What is its shape?"),
        ("What causes rust?", "What is rust?"),
    ],
    "comparison": [
        (
            "What is the difference between butter and margarine?",
            "What is the difference between butter, margarine and lard?",
        )
    ],
    "narrower": [("What is a violin?", "What is a baroque violin?")],
}

_SERVED = [
    ("How do I boil an egg?", "how can you boil eggs"),
    ("What's the capital of Chile?", "What is the capital of Chile"),
    ("Why doesn't my oven heat?", "Why does not my oven heat?"),
    ("Why don\u2019t owls sing?", "Why don't owls sing?"),
    ("Please tell me: how does a lock work?", "How does a lock work?"),
    ("Hi! Can you tell me how a lock works? Thanks a lot!", "How does a lock work?"),
    ("Is it safe to swim here, or not?", "Is it safe to swim here?"),
    ("I have two dogs, is that a lot?", "I have 2 dogs, is that a lot?"),
    ("What does one thousand euro buy?", "What does 1,000 euro buy?"),
    ("Is twenty five too old to dance?", "Is 25 too old to dance?"),
    ("Is 1 week enough for Rome?", "Is one week enough for Rome?"),
    ("What did World War II cost?", "What did World War 2 cost?"),
    ("Which colour suits me?", "Which color suits me?"),
    ("How are tyres made?", "How are tires made?"),
    ("What are the best ways to learn chess?", "How do I learn chess?"),
    ("What is the largest lake in Finland?", "Which is the biggest lake in Finland?"),
    ("Where can I buy a used car?", "Where can I purchase a used automobile?"),
    ("What is the weight of the parcel?", "What is the parcel's weight?"),
    ("What is India's population?", "What is the population of India?"),
    ("Who is a famous Indian writer?", "Who is a famous writer from India?"),
    ("Can I mix vinegar and lemon juice?", "Can I mix lemon juice and vinegar?"),
    ("Which is better: tea or coffee?", "Which is better: coffee or tea?"),
    ("In Excel, how do I merge two cells?", "How do I merge two cells in Excel?"),
    ("How do I fix my bike?", "How do you fix your bike?"),
    ("How do I write an e-mail?", "How do I write an email?"),
    ("Where can I study NLP?", "where can i study natural language processing"),
    ("Is the US large?", "Is the U.S. large?"),
    ("WHAT IS THE TALLEST TREE?", "What is the tallest tree?"),
    ("How do I serch my mail?", "How do I search my mail?"),
    ("Why do some people snore?", "Why do people snore?"),
    ("What does “gusto” mean?", 'What does "gusto" mean?'),
    ("What does os.path do here?", "What does os path do here?"),
    ("What does “gusto” mean?", "What does gusto mean?"),
    ("Who is your favourite author? Why?", "Who is your favorite author and why?"),
    ("Do you know if frogs bite?", "Do frogs bite?"),
    ("May I swim?", "Can I swim?"),
    ("How many hours should I sleep?", "How many hours a day should I sleep?"),
    ("How do bees find all the flowers?", "How do bees find flowers?"),
]


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [(name, one, other) for name, pairs in _VETOED.items() for one, other in pairs],
)
def test_find_veto_names_the_rule_when_the_answers_differ(name: str, one: str, other: str) -> None:
    assert find_veto(prepare(one), prepare(other)) == name


@pytest.mark.parametrize(("one", "other"), _SERVED)
def test_find_veto_is_none_when_only_the_wording_differs(one: str, other: str) -> None:
    assert find_veto(prepare(one), prepare(other)) is None


def test_every_rule_has_a_pair_that_it_vetoes() -> None:
    assert set(_VETOED) == set(VETO_NAMES)


@pytest.mark.parametrize(
    ("one", "other"), [pair for pairs in _VETOED.values() for pair in pairs] + _SERVED
)
def test_find_veto_does_not_mind_which_text_comes_first(one: str, other: str) -> None:
    a, b = prepare(one), prepare(other)

    assert find_veto(a, b) == find_veto(b, a)


@pytest.mark.parametrize(
    "text", ["I saw US troops on a PS4", "x", "", "'", "not", "5 5 5", "日本語"]
)
def test_a_text_never_vetoes_itself(text: str) -> None:
    assert find_veto(prepare(text), prepare(text)) is None


_VOCABULARY = """
    how do does I my you not only if than to from and or , ? a the US 5 km Monday
    Paris cats dogs see better 'x' foo_bar v2 one hundred won will 2.1.0 A
"""
_WORDS = st.sampled_from(sorted(_VOCABULARY.split()))
_TEXTS = st.lists(_WORDS, max_size=12).map(" ".join) | st.text(max_size=60)


@given(_TEXTS)
def test_a_text_never_vetoes_itself_whatever_it_is(text: str) -> None:
    assert find_veto(prepare(text), prepare(text)) is None


@given(_TEXTS, _TEXTS)
def test_find_veto_is_symmetric_whatever_the_texts_are(one: str, other: str) -> None:
    a, b = prepare(one), prepare(other)

    assert find_veto(a, b) == find_veto(b, a)


@given(_TEXTS, _TEXTS)
def test_overlap_is_a_symmetric_share(one: str, other: str) -> None:
    a, b = prepare(one), prepare(other)

    assert 0 <= measure_overlap(a, b) == measure_overlap(b, a) <= 1


def test_overlap_counts_shared_concepts() -> None:
    assert measure_overlap(prepare("green tea"), prepare("black tea")) == 1 / 3
    assert measure_overlap(prepare("how?"), prepare("why?")) == 0


def test_a_prepared_text_shows_no_word_of_it() -> None:
    assert repr(prepare("my secret diagnosis")) == "<PreparedText of 3 words>"


def test_a_prepared_text_cannot_be_changed() -> None:
    prepared = prepare("Is it late?")

    with pytest.raises(AttributeError):
        prepared.negations = 1  # type: ignore[misc]
    assert isinstance(prepared, PreparedText)
    assert not hasattr(prepared, "__dict__")


def test_texts_with_nothing_in_common_are_not_compared_word_by_word() -> None:
    ours = " ".join(f"alpha{chr(97 + number)}" for number in range(11))
    theirs = " ".join(f"alpha{chr(97 + number)}s" for number in range(11, 22))

    assert find_veto(prepare(ours), prepare(theirs)) == "wording"


@pytest.mark.parametrize("piece", ["hi ", '"', "'a ", "a1", "a@", "1,", "thanks ", " ", "::x", "-"])
def test_prepare_takes_a_long_text_of_one_piece(piece: str) -> None:
    prepared = prepare("x " + piece * 5000 + " it's 5 o'clock?")

    assert find_veto(prepared, prepared) is None
