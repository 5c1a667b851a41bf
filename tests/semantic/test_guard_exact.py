"""The guard where only signs, the order of numbers, or the case of a word tells two texts apart."""

from __future__ import annotations

import pytest

from sdk_workflow.core.semantic.cases import is_cased_form
from sdk_workflow.core.semantic.guard import find_veto, prepare
from sdk_workflow.core.semantic.symbols import find_number_rows, find_symbols
from sdk_workflow.core.semantic.text import find_day_halves, fold

_VETOED = {
    "number": [
        ("Does the bakery open at 6 a.m.?", "Does the bakery open at 6 p.m.?"),
        ("Does the bakery open at 6 A.M. today?", "Does the bakery open at 6 P.M. today?"),
        ("is the tide high at 10AM", "is the tide high at 10pm"),
        ("Is 5:45 am too early?", "Is 5:45 pm too early?"),
        ("Was 02/03/2021 a Sunday?", "Was 03/02/2021 a Sunday?"),
        ("How heavy is 2/5 of a loaf?", "How heavy is 5/2 of a loaf?"),
        ("Is this waltz in 9/8?", "Is this waltz in 8/9?"),
        ("Did Leeds win 4-2?", "Did Leeds win 2-4?"),
        ("Does the film start at 11:10?", "Does the film start at 10:11?"),
        ("Is 8 > 6 true?", "Is 6 > 8 true?"),
    ],
    "identifier": [
        ("What does ps -e list?", "What does ps -E list?"),
        ("what does sort -r do", "what does sort -R do"),
        ("What does --Force change?", "What does --force change?"),
        (r"What does \w stand for?", r"What does \W stand for?"),
        ("Where is TIME_LIMIT set?", "Where is time_limit set?"),
        ("What does lastSeen hold?", "What does lastseen hold?"),
    ],
    "case": [
        ("How bright is a 7 mW lamp?", "How bright is a 7 MW lamp?"),
        ("How bright is a 7mW lamp?", "How bright is a 7MW lamp?"),
        ("Is a 40 Mb line slow?", "Is a 40 MB line slow?"),
        ("Is a 40Gb disk small?", "Is a 40GB disk small?"),
        ("Is 3 Mg of iron a lot?", "Is 3 mg of iron a lot?"),
        ("Is 3Mg of iron a lot?", "Is 3mg of iron a lot?"),
        ("Is Co found in rocks?", "Is CO found in rocks?"),
        ("How stable is No in a lab?", "How stable is NO in a lab?"),
        ("Is 9 Pa a high value?", "Is 9 PA a high value?"),
        ("Is gene X rare in a T-cell?", "Is gene x rare in a T-cell?"),
        ("What is Jordan's colour?", "What is jordan's colour?"),
    ],
    "quoted": [
        ('Is "Out Of Order" well spelled?', 'Is "out of order" well spelled?'),
        ("Is 'XYZ' a word?", "Is 'xyz' a word?"),
        ("What does `Walk` print?", "What does `walk` print?"),
    ],
    "symbol": [
        ("Is a == b true in this code?", "Is a === b true in this code?"),
        ("Is a != b true in this code?", "Is a = b true in this code?"),
        ("What does p | q give?", "What does p || q give?"),
        ("What does & do in Perl?", "What does && do in Perl?"),
        ("What does *q mean in Go?", "What does &q mean in Go?"),
        ("What does i++ mean?", "What does i-- mean?"),
        ("Who sends 🙂 at work?", "Who sends 🙁 at work?"),
        ("What does p → q claim?", "What does p ← q claim?"),
        ("How do I read ≤ aloud?", "How do I read ≥ aloud?"),
        ("Is 4‰ of salt a lot?", "Is 4 of salt a lot?"),
        ("Is [x] allowed?", "Is {x} allowed?"),
    ],
    "negation": [
        ("Which boats other than rafts float?", "Which boats like rafts float?"),
        ("Which pains besides cramp are common?", "Which pains with cramp are common?"),
        ("Who sings apart from Ann?", "Who sings like Ann?"),
    ],
    "quantifier": [
        ("Are there few seats left?", "Are there a few seats left?"),
        ("Are there seats left?", "Are there a few seats left?"),
        ("Is there little milk left?", "Is there a little milk left?"),
        ("IS THERE MILK LEFT?", "IS THERE A LITTLE MILK LEFT?"),
    ],
    "tense": [
        ("Who is the best goalkeeper?", "Who was the best goalkeeper?"),
        ("Where are the keys kept?", "Where were the keys kept?"),
        ("Do owls hunt by day?", "Did owls hunt by day?"),
        ("Has Lima a tram?", "Had Lima a tram?"),
    ],
}

_SERVED = [
    ("Is 8 KM a long walk?", "Is 8 km a long walk?"),
    ("IS 8 KM A LONG WALK?", "Is 8 km a long walk?"),
    ("Is a 32 gb card enough?", "Is a 32 GB card enough?"),
    ("Is a 32 kB file small?", "Is a 32 KB file small?"),
    ("what is the gnp of chile", "What is the GNP of Chile?"),
    ("Is there NO cure for hiccups?", "Is there no cure for hiccups?"),
    ("Is bread & butter a meal?", "Is bread and butter a meal?"),
    ("Does it close at 9 PM?", "Does it close at 9 p.m.?"),
    ("Does it close at 9pm?", "Does it close at 9 pm?"),
    ("Was 04/05 a holiday?", "Was 4/5 a holiday?"),
    ("Do I need an X-ray after a fall?", "Do I need an x-ray after a fall?"),
    ("Are 4-5 naps a day fine?", "Are 4 to 5 naps a day fine?"),
    ("How do I charge an iPhone?", "How do I charge an iphone?"),
    ("Is 25°C too warm?", "Is 25 C too warm?"),
    ("Which birds other than owls hoot?", "Which birds except owls hoot?"),
    ("Is vitamin A good?", "Is vitamin A good!"),
    ('Is "so long" a greeting?', "Is “so long.” a greeting?"),
    ("Is CO toxic at home?", "CO is toxic at home?"),
    ('Are "his" and "her" short?', 'Are "her" and "his" short?'),
    ('Is "ice cream" one word?', "Is ice cream one word?"),
]


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [(name, one, other) for name, pairs in _VETOED.items() for one, other in pairs],
)
def test_find_veto_keeps_apart_what_is_not_the_same_to_the_letter(
    name: str, one: str, other: str
) -> None:
    a, b = prepare(one), prepare(other)

    assert find_veto(a, b) == find_veto(b, a) == name


@pytest.mark.parametrize(("one", "other"), _SERVED)
def test_find_veto_lets_through_what_is_only_written_otherwise(one: str, other: str) -> None:
    a, b = prepare(one), prepare(other)

    assert find_veto(a, b) is None
    assert find_veto(b, a) is None


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        ("plain, (ordinary) text; is it? yes!", ()),
        ("20% of $5, 5 € and 30 °C", ()),
        ("AT&T, salt & pepper, #3 and C#", ()),
        ("x := y -> z", (":=", "->")),
        ("n-- but not this -- aside", ("--",)),
        ("¿por qué? 「是」", ()),
        ("∑ before ||", ("||", "∑")),
    ],
)
def test_symbols_are_what_is_neither_a_word_nor_punctuation(
    text: str, symbols: tuple[str, ...]
) -> None:
    assert find_symbols(text) == symbols


def test_number_rows_keep_their_order_and_drop_leading_zeros() -> None:
    assert find_number_rows("on 01/02/2003, 10 - 4, a 00:00 alarm") == ("1 2 2003", "10 4", "0 0")


def test_day_halves_follow_a_number_only() -> None:
    assert find_day_halves("I am up at 5 am, not 5p.m") == ["am", "pm"]


def test_fold_joins_a_few_and_reads_other_than_as_except() -> None:
    assert fold("Other cats, a few other than mine") == "Other cats, afew except mine"


@pytest.mark.parametrize("token", ["", "I", "A", "rome", "Rome", "ITALY", "R2", "I's", "CPU's"])
def test_most_words_have_no_form_of_their_own(token: str) -> None:
    assert not is_cased_form(token)
