"""The rules by which two texts cannot share an answer, one function each. Pure and symmetric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sdk_workflow.core.semantic.cases import has_recased
from sdk_workflow.core.semantic.irregular import PAST_FORMS
from sdk_workflow.core.semantic.lexicon import COMPARISONS, DIRECTIONS
from sdk_workflow.core.semantic.opposites import OPPOSITES, is_negated_form
from sdk_workflow.core.semantic.order import is_reordered
from sdk_workflow.core.semantic.questions import have_other_questions
from sdk_workflow.core.semantic.stems import stem
from sdk_workflow.core.semantic.text import tokenise
from sdk_workflow.core.semantic.words import read_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from sdk_workflow.core.semantic.pairs import Pair
    from sdk_workflow.core.semantic.prepared import PreparedText

__all__ = ["RULES"]

_FUTURE = frozenset(map(stem, ("will", "shall")))
_PRESENT_AND_PAST = tuple(
    (frozenset(map(stem, now)), frozenset(map(stem, past)))
    for now, past in (
        (("is", "are", "am"), ("was", "were")),
        (("do", "does"), ("did",)),
        (("have", "has"), ("had",)),
    )
)
_COMPARISONS = frozenset(stem(word) for word in COMPARISONS)
# "all the way" and "of them all" add nothing; "only", "half" or "twice" do.
_WEAK_QUANTIFIERS = frozenset({"all", "always", "almost", "often", "together", "sometimes"})


def has_other_numbers(pair: Pair) -> bool:
    """Say whether the numbers differ: "in 2 days", "in 3 days"."""
    if pair.a.numbers != pair.b.numbers:
        return True
    rows_a, rows_b = pair.a.exact.number_rows, pair.b.exact.number_rows
    return bool(rows_a and rows_b) and rows_a != rows_b


def has_other_versions(pair: Pair) -> bool:
    """Say whether the numbers differ in versions: "1.2.0", "version 2"."""
    different = set(pair.a.numbers) ^ set(pair.b.numbers)
    return bool(different) and all(number.startswith("v") for number in different)


def has_other_dates(pair: Pair) -> bool:
    """Say whether months, weekdays, seasons or feasts differ."""
    return pair.a.dates != pair.b.dates


def has_other_units(pair: Pair) -> bool:
    """Say whether each text measures in a unit that the other has not."""
    return bool(pair.a.units - pair.b.units and pair.b.units - pair.a.units)


def has_other_polarity(pair: Pair) -> bool:
    """Say whether one text denies what the other says."""
    return (pair.a.negations ^ pair.b.negations) % 2 == 1


def has_opposites(pair: Pair) -> bool:
    """Say whether a word of one text stands against a word of the other: "buy" and "sell"."""
    if not pair.words_a or not pair.words_b:
        return False
    others = {_base(word) for word in pair.words_b}
    for word in map(_base, pair.words_a):
        opposites = OPPOSITES.get(word)
        if opposites is not None and not opposites.isdisjoint(others):
            return True
    return any(is_negated_form(word, other) for word in pair.only_a for other in pair.only_b)


def _base(word: str) -> str:
    return word.partition("~")[0]


def has_other_tense(pair: Pair) -> bool:
    """Say whether one text asks for what was and the other for what is or will be."""
    if _is_and_was(pair.words_a, pair.words_b) or _is_and_was(pair.words_b, pair.words_a):
        return True
    return _looks_ahead(pair.a, pair.b, pair.words_a) or _looks_ahead(pair.b, pair.a, pair.words_b)


def _is_and_was(words: frozenset[str], others: frozenset[str]) -> bool:
    return any(
        not now.isdisjoint(words) and not past.isdisjoint(others) for now, past in _PRESENT_AND_PAST
    )


def _looks_ahead(text: PreparedText, other: PreparedText, only_here: frozenset[str]) -> bool:
    if _FUTURE.isdisjoint(only_here):
        return False
    only_there = set(other.spoken.split()) - set(text.spoken.split())
    return any(word in PAST_FORMS or word.endswith("ed") for word in only_there)


def has_other_persons(pair: Pair) -> bool:
    """Say whether "my" stands against "your", or the texts differ in "to you", "for me"."""
    if pair.a.recipients != pair.b.recipients:
        return True
    return _is_mine_and_yours(pair, pair.words_a, pair.words_b) or _is_mine_and_yours(
        pair, pair.words_b, pair.words_a
    )


def _is_mine_and_yours(pair: Pair, words: frozenset[str], others: frozenset[str]) -> bool:
    """Pass over "how do I fix my" and "how do you fix your": there the subject changes along."""
    if "my" not in words or "your" not in others:
        return False
    return not ("i" in words and "you" in others) and "i" not in pair.a.words & pair.b.words


def has_other_condition(pair: Pair) -> bool:
    """Say whether only one text supposes something: "if I am late"."""
    return "if" in pair.words_a or "if" in pair.words_b


def has_other_direction(pair: Pair) -> bool:
    """Say whether the same word is approached from the other side: "to Rome", "from Rome"."""
    there = pair.b.directions
    return any(
        (DIRECTIONS[word], goal) in there and (word, goal) not in there
        for word, goal in pair.a.directions
    )


def has_other_identifiers(pair: Pair) -> bool:
    """Say whether a link, path, address or name out of code stands in one text only."""
    a, b = pair.a, pair.b
    if a.identifiers == b.identifiers:
        return False
    return not (
        _mentions(b, a.identifiers - b.identifiers) and _mentions(a, b.identifiers - a.identifiers)
    )


def _mentions(text: PreparedText, identifiers: frozenset[str]) -> bool:
    spoken = f" {text.spoken} "
    return all(f" {' '.join(_spoken(name))} " in spoken for name in identifiers)


def _spoken(name: str) -> list[str]:
    return [token for token in tokenise(name) if token[-1].isalnum()]


def has_other_quotation(pair: Pair) -> bool:
    """Say whether the texts quote other words, or the same in another case."""
    ours, theirs = pair.a.exact.quotations, pair.b.exact.quotations
    if ours and theirs:
        return set(ours) != set(theirs)
    return _quotes_more(pair.a, pair.b) or _quotes_more(pair.b, pair.a)


def _quotes_more(text: PreparedText, other: PreparedText) -> bool:
    spoken = f" {other.spoken} "
    return any(f" {_say(part)} " not in spoken for part in text.exact.quotations)


def _say(text: str) -> str:
    words = (word for token in tokenise(text) for word in read_token(token))
    return " ".join([word.text for word in words if not word.is_mark])


def has_other_symbols(pair: Pair) -> bool:
    """Say whether signs of code or mathematics, arrows or emoji differ: "a == b", "a === b"."""
    return pair.a.exact.symbols != pair.b.exact.symbols


def has_other_case(pair: Pair) -> bool:
    """Say whether only the case tells a symbol, unit or name apart: "CO" and "Co"."""
    a, b = pair.a, pair.b
    if a.exact.forms == b.exact.forms or a.exact.is_lower or b.exact.is_lower:
        return False
    return has_recased(a.exact.forms, b.exact.forms, b.spoken) or has_recased(
        b.exact.forms, a.exact.forms, a.spoken
    )


def has_other_quantifier(pair: Pair) -> bool:
    """Say whether "only", "twice", "last" and the like differ, or stand in one text only."""
    only_a = pair.a.quantifiers - pair.b.quantifiers
    only_b = pair.b.quantifiers - pair.a.quantifiers
    return bool(only_a and only_b) or not (only_a | only_b) <= _WEAK_QUANTIFIERS


def has_other_entity(pair: Pair) -> bool:
    """Say whether a name is exchanged for another word, or added."""
    names = pair.a.entities | pair.b.entities
    return not (names.isdisjoint(pair.only_a) and names.isdisjoint(pair.only_b))


def has_other_word(pair: Pair) -> bool:
    """Say whether a word of meaning is exchanged for one that is no form or synonym of it."""
    return bool(pair.only_a and pair.only_b)


def has_other_order(pair: Pair) -> bool:
    """Say whether the same words stand in an order that changes who does what."""
    return is_reordered(pair.a, pair.b, pair.renamed)


def has_other_question(pair: Pair) -> bool:
    """Say whether one text asks why and the other how, or one asks a thing more."""
    return have_other_questions(pair.a.questions, pair.b.questions)


def has_other_comparison(pair: Pair) -> bool:
    """Say whether one text compares a thing more than the other."""
    if not (pair.only_a or pair.only_b):
        return False
    return not _COMPARISONS.isdisjoint(pair.a.words | pair.b.words)


def is_narrower(pair: Pair) -> bool:
    """Say whether what one text adds weighs more than half of what both share."""
    added = len(pair.only_a) + len(pair.only_b)
    return added > 0 and 2 * added > min(len(pair.a.concepts), len(pair.b.concepts))


RULES: tuple[tuple[str, Callable[[Pair], bool]], ...] = (
    ("version", has_other_versions),
    ("number", has_other_numbers),
    ("date", has_other_dates),
    ("unit", has_other_units),
    ("negation", has_other_polarity),
    ("antonym", has_opposites),
    ("tense", has_other_tense),
    ("person", has_other_persons),
    ("condition", has_other_condition),
    ("direction", has_other_direction),
    ("identifier", has_other_identifiers),
    ("quoted", has_other_quotation),
    ("quantifier", has_other_quantifier),
    ("entity", has_other_entity),
    ("symbol", has_other_symbols),
    ("case", has_other_case),
    ("wording", has_other_word),
    ("order", has_other_order),
    ("question", has_other_question),
    ("comparison", has_other_comparison),
    ("narrower", is_narrower),
)
"""Name and test of every rule, in the order in which they are asked."""
