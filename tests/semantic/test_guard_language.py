"""The guard's knowledge of English: stems, numbers, identifiers, questions, courtesy, word tables."""

from __future__ import annotations

import pytest

from sdk_workflow.core.semantic import words as words_module
from sdk_workflow.core.semantic.guard import prepare
from sdk_workflow.core.semantic.identifiers import find_identifiers
from sdk_workflow.core.semantic.lexicon import DIRECTIONS, FRAME_WORDS, LIGHT_WORDS, NEGATIONS
from sdk_workflow.core.semantic.numbers import (
    join_numbers,
    read_number_word,
    read_numeral,
    read_roman,
)
from sdk_workflow.core.semantic.opposites import OPPOSITES, is_negated_form
from sdk_workflow.core.semantic.stems import are_related, stem
from sdk_workflow.core.semantic.synonyms import CONCEPTS
from sdk_workflow.core.semantic.text import find_operators, find_quotations, fold, strip_courtesy
from sdk_workflow.core.semantic.words import read_token


@pytest.mark.parametrize(
    "forms",
    [
        "walk walks walked walking",
        "stop stops stopped stopping",
        "hope hopes hoped hoping",
        "carry carries carried carrying",
        "egg eggs",
        "box boxes",
        "class classes",
        "city cities",
        "woman women",
        "go goes",
        "colour color colours",
        "organise organize organising organizing",
        "analyse analyze analysing",
        "theatre theater",
        "dialogue dialog",
        "defence defense",
        "buy bought",
        "tyre tyres tire tires",
        "slow slowly",
    ],
)
def test_stem_is_one_for_all_forms_of_a_word(forms: str) -> None:
    assert len({stem(form) for form in forms.split()}) == 1


@pytest.mark.parametrize("words", ["hop house", "bus bush", "king kind", "bed bee", "us use"])
def test_stem_keeps_different_words_apart(words: str) -> None:
    one, other = words.split()

    assert stem(one) != stem(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("farm", "farmer"),
        ("spain", "spanish"),
        ("musician", "music"),
        ("library", "libary"),
        ("recieve", "receive"),
        ("seperate", "separate"),
        ("same", "same"),
    ],
)
def test_are_related_when_it_is_one_word_or_a_slip(one: str, other: str) -> None:
    related = are_related(stem(one), stem(other))

    assert related == (one != "spain")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hopeful", "hopeless"),
        ("porto", "porta"),
        ("python", "java"),
        ("cat", "car"),
        ("fat", "fan"),
        ("oxford", "exford"),
        ("marble", "market"),
    ],
)
def test_are_related_is_false_when_they_are_two_words(one: str, other: str) -> None:
    assert not are_related(stem(one), stem(other))


@pytest.mark.parametrize(
    ("token", "value", "letters"),
    [
        ("007", "7", ""),
        ("1,500", "1500", ""),
        ("12,34,567", "1234567", ""),
        ("3,5", "3.5", ""),
        ("4.0", "4", ""),
        ("4.10", "4.10", ""),
        (".5", "0.5", ""),
        ("1990s", "1990", ""),
        ("21st", "21", ""),
        ("40k", "40000", ""),
        ("2.5k", "2.5", "k"),
        ("6GB", "6", "gb"),
        ("v3", "v3", ""),
        ("1.2.3", "v1.2.3", ""),
        ("-8", "-8", ""),
        ("²5", "²5", ""),
    ],
)
def test_read_numeral_gives_one_form_to_one_value(token: str, value: str, letters: str) -> None:
    assert read_numeral(token) == (value, letters)


@pytest.mark.parametrize(
    ("token", "value"),
    [("II", 2), ("IX", 9), ("XXIV", 24), ("VIII", 8), ("IIII", None), ("I", None), ("MIX", None)],
)
def test_read_roman_knows_small_numerals_only(token: str, value: int | None) -> None:
    assert read_roman(token) == value


@pytest.mark.parametrize(
    ("word", "value"),
    [("seven", "7"), ("dozen", "12"), ("million", "1000000"), ("one", None), ("k", None)],
)
def test_read_number_word_leaves_out_what_is_ambiguous(word: str, value: str | None) -> None:
    assert read_number_word(word) == value


@pytest.mark.parametrize(
    ("left", "word", "right", "joined"),
    [
        ("3", "hundred", "100", "300"),
        ("40", "two", "2", "42"),
        ("40", "twelve", "12", None),
        ("4", "two", "2", None),
        ("40", "2", "2", None),
        ("2.5", "million", "1000000", None),
    ],
)
def test_join_numbers_joins_what_is_one_number(
    left: str, word: str, right: str, joined: str | None
) -> None:
    assert join_numbers(left, word, right) == joined


def test_numbers_of_a_text_are_counted_once_unless_it_calculates() -> None:
    assert prepare("Rome 2024: is Rome 2024 on?").numbers == ("2024",)
    assert prepare("What is 2 + 2?").numbers == ("+", "2", "2")


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("Is it hot in May or on Sundays in Aug?", {"may", "august"}),
        ("May I march in spring?", set()),
        ("we may march on sunday", {"sunday"}),
        ("Do we march in March this Spring?", {"march", "spring"}),
    ],
)
def test_dates_are_told_from_words_that_look_like_them(text: str, dates: set[str]) -> None:
    assert prepare(text).dates == dates


@pytest.mark.parametrize(
    ("text", "signs"),
    [
        ("2+2", ["+"]),
        ("3 * (4 / 2)", ["*", "/"]),
        ("5 - 3 = 2", ["-", "="]),
        ("10-15 days, aged 6+", []),
        ("C++ and/or C", []),
    ],
)
def test_find_operators_finds_arithmetic_only(text: str, signs: list[str]) -> None:
    assert find_operators(text) == signs


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What is in https://www.example.com/x/ now?", {"example.com/x"}),
        ("Write to jo.doe@example.org", {"jo.doe@example.org"}),
        ("Is 123e4567-e89b-12d3-a456-426614174000 used?", {"123e4567-e89b-12d3-a456-426614174000"}),
        ("Is 0xFF odd?", {"0xff"}),
        ("Revert a1b2c3d", {"a1b2c3d"}),
        (r"Open C:\temp\x.txt", {r"c:\temp\x.txt"}),
        ("Why is ~/.ssh/config ignored?", {"~/.ssh/config"}),
        ("What does --force do?", {"--force"}),
        ("What is std::move()?", {"std::move"}),
        ("Run main() twice", {"main"}),
        ("Is max_size int?", {"max_size"}),
        ("Is getItem pure?", {"getItem"}),
        ("Is this plain prose? Yes (it is).", set()),
        ("My iPhone and eBay", set()),
    ],
)
def test_identifiers_are_what_machines_read(text: str, names: set[str]) -> None:
    assert prepare(text).identifiers == names
    assert find_identifiers(text, is_likely=True) == names


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("What is tea?", ("thing",)),
        ("How do I brew tea?", ("manner",)),
        ("How to brew tea", ("manner",)),
        ("What is the best way to brew tea?", ("manner",)),
        ("What should I do to sleep?", ("manner",)),
        ("Why is tea hot?", ("cause",)),
        ("How come tea is hot?", ("cause",)),
        ("What is the reason for war?", ("cause",)),
        ("When is tea served?", ("time",)),
        ("What time is it?", ("time",)),
        ("What year did Rome fall?", ("time",)),
        ("Where is Oslo?", ("place",)),
        ("Who drinks tea?", ("person",)),
        ("How many cups are there?", ("amount",)),
        ("How hot is tea?", ("degree",)),
        ("What if it rains?", ("condition",)),
        ("Is tea hot?", ("fact",)),
        ("Should I drink tea?", ("advice",)),
        ("Is there tea?", ("thing",)),
        ("Is tea hot? Is it sweet?", ("fact", "fact")),
        ("Do you say when tea is hot?", ("fact",)),
        ("Tea is hot. Is it sweet", ("fact",)),
        ("Is it hot, and who drinks it?", ("person",)),
        ("Who drinks it and why not coffee?", ("cause", "person")),
        ("I know how tea is made", ()),
        ("how", ("manner",)),
        ("what", ("thing",)),
        ("is", ("fact",)),
        ("green tea", ()),
    ],
)
def test_questions_are_told_by_what_they_ask(text: str, kinds: tuple[str, ...]) -> None:
    assert prepare(text).questions == kinds


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Hello, is it late?", "is it late?"),
        ("Could someone please explain how it works", "how it works"),
        ("I would like to know if it rains", "it rains"),
        ("I'm just wondering: is it on", "is it on"),
        ("No, is it late?", "is it late?"),
        ("No one knows", "No one knows"),
        ("So many men", "So many men"),
        ("Thanks", "Thanks"),
        ("Is it late, thank you very much!", "Is it late"),
        ("Is it late? Why or why not?", "Is it late"),
        ("Please", "Please"),
        ("not please", "not"),
        ("do you know", "do you know"),
        ("you are not", "you are not"),
    ],
)
def test_courtesy_is_stripped_and_nothing_else(text: str, rest: str) -> None:
    assert strip_courtesy(text) == rest


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("It\u2019s \u201con\u201d \u2013 now\u2026", 'It\'s "on" - now.'),
        ("do n't go, it 's I", "don't go, it's I"),
        ("the U.S.A. e.g.", "the USA eg"),
        ("anti-aging non-stick well-known", "antiaging nonstick well-known"),
        ("LOUD TEXT", "loud text"),
        ("cafe\u0301", "café"),
        ("is vitamin A here", "is vitamin A# here"),
        ("How Can A Man", "How Can A Man"),
    ],
)
def test_fold_gives_one_form_to_what_is_typed_differently(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_quotations_need_marks_on_both_sides() -> None:
    assert find_quotations("say \"go on\" or 'stop' or don't, kids' 5\"") == ["go on", "stop"]


@pytest.mark.parametrize(
    ("token", "parts"),
    [
        ("can't", ["cannot"]),
        ("won't", ["will", "not"]),
        ("isn't", ["is", "not"]),
        ("n't", ["not"]),
        ("we've", ["we", "have"]),
        ("what's", ["what", "is"]),
        ("Ann's", ["ann", "'s"]),
        ("O'Neil", ["oneil"]),
        ("US", ["usa"]),
        ("us", ["us"]),
        ("10km", ["10km"]),
        ("10x", ["10x", "x"]),
    ],
)
def test_read_token_splits_what_is_two_words(token: str, parts: list[str]) -> None:
    assert [word.text for word in read_token(token)] == parts


def test_read_token_forgets_when_it_remembers_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    remembered: dict[str, tuple[words_module.Word, ...]] = {}
    monkeypatch.setattr(words_module, "_MAX_REMEMBERED", 3)
    monkeypatch.setattr(words_module, "_remembered", remembered)

    for token in ("north", "south", "east", "west"):
        read_token(token)

    assert list(remembered) == ["west"]


def test_no_two_opposites_are_synonyms() -> None:
    clashes = [
        (word, other)
        for word, others in OPPOSITES.items()
        for other in others
        if CONCEPTS.get(word, word) == CONCEPTS.get(other, other)
    ]

    assert clashes == []


def test_opposites_and_directions_hold_both_ways() -> None:
    assert all(word in OPPOSITES[other] for word, others in OPPOSITES.items() for other in others)
    assert all(DIRECTIONS[other] == word for word, other in DIRECTIONS.items())


def test_no_word_that_denies_is_passed_over_as_light() -> None:
    assert NEGATIONS.isdisjoint(LIGHT_WORDS)
    assert {"not", "no", "never", "cannot"}.isdisjoint(FRAME_WORDS)


@pytest.mark.parametrize(
    ("one", "other", "is_negated"),
    [
        ("moral", "immoral", True),
        ("useful", "useless", True),
        ("help", "helpful", False),
        ("art", "smart", False),
        ("press", "impress", True),
        ("moral", "mortal", False),
    ],
)
def test_is_negated_form_sees_prefix_and_ending(one: str, other: str, *, is_negated: bool) -> None:
    assert is_negated_form(one, other) == is_negated_form(other, one) == is_negated
