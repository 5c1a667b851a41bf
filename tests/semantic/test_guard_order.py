"""Order of words: what may change places, and what may not."""

from __future__ import annotations

import pytest

from sdk_workflow.core.semantic.guard import find_veto, prepare

_SAME = [
    # equals around a word that joins equals
    ("Should I plant peas or beans?", "Should I plant beans or peas?"),
    ("Is cod, eel or tuna cheap?", "Is tuna, cod or eel cheap?"),
    ("How do soft cheese and hard cheese differ?", "How do hard cheese and soft cheese differ?"),
    (
        "What is the difference between sea salt and rock salt?",
        "What is the difference between rock salt and sea salt?",
    ),
    ("Compare oak/pine furniture", "Compare pine/oak furniture"),
    ("What differs between frogs and toads?", "Between toads and frogs, what differs?"),
    ("What is organic and inorganic waste?", "What is organic waste and inorganic waste?"),
    ("Do red wine and old cheese keep?", "Does old cheese and red wine keep?"),
    # a phrase that moves as a whole
    ("On a Mac, how do I take a screenshot?", "How do I take a screenshot on a Mac?"),
    ("What does rent cost in Oslo?", "In Oslo, what does rent cost?"),
    ("What is Peru's birth rate?", "What is the birth rate of Peru?"),
    ("Which hotel is best near Kyoto?", "Which is the best hotel near Kyoto?"),
    ("How is paper made?", "How paper is made?"),
    ("How do I quickly peel garlic?", "How do I peel garlic quickly?"),
    ("Is Adele's new song about loss sad?", "Is the new song about loss by Adele sad?"),
]
_OTHER = [
    ("Do bees eat wasps?", "Do wasps eat bees?"),
    ("Does the cat see what the dog hears?", "Does the dog see what the cat hears?"),
    ("How far is Bonn from Ulm by train?", "How far is Ulm from Bonn by train?"),
    ("Is wool warmer than silk?", "Is silk warmer than wool?"),
    ("Should I wash and then peel pears?", "Should I peel and then wash pears?"),
    ("Should I wash then peel pears?", "Should I peel then wash pears?"),
    ("Why is a house guest rude?", "Why is a guest house rude?"),
    ("What are the old rules of the chess club?", "What are the rules of the old chess club?"),
    ("Can a rich man marry a poor woman?", "Can a poor man marry a rich woman?"),
    ("Did my red hat fit his blue coat?", "Did his blue hat fit my red coat?"),
    ("Is it more rain and less sun?", "Is it less rain and more sun?"),
    ("Whom did she say he met?", "Whom did he say she met?"),
    ("Is the son of a doctor rich?", "Are the doctors of a son rich?"),
    ("Is a guest house loud?", "Are house guests loud?"),
    ("What do teachers expect from their pupils?", "What do pupils expect from teachers?"),
    ("Which one is open on new days and old nights?", "Which one is new on old days, open nights?"),
]


@pytest.mark.parametrize(("one", "other"), _SAME)
def test_order_passes_when_nobody_changes_roles(one: str, other: str) -> None:
    assert find_veto(prepare(one), prepare(other)) is None


@pytest.mark.parametrize(("one", "other"), _OTHER)
def test_order_vetoes_when_roles_are_exchanged(one: str, other: str) -> None:
    assert find_veto(prepare(one), prepare(other)) == "order"


def test_order_does_not_look_for_a_swap_among_very_many_equals() -> None:
    names = [f"item{chr(97 + number)}" for number in range(16)]
    listed = ["x " + " and ".join(names), "x " + " and ".join([*names[8:], *names[:8]])]

    assert find_veto(*map(prepare, listed)) is None
    assert find_veto(prepare("do " + " and ".join(names)), prepare("do " + " ".join(names))) is None
