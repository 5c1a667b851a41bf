"""Word classes of English that the guard needs: which words carry meaning and which only join.

Closed classes, written down from the grammar of the language. Nothing here is taken from, or
fitted to, any set of questions.
"""

from __future__ import annotations

from sdk_workflow.core.semantic.word_lists import read_lines, word_set

__all__ = [
    "ABILITIES",
    "ADVICE",
    "ARTICLES",
    "AUXILIARIES",
    "COMMUTATIVE",
    "COMPARISONS",
    "CONTRACTIONS",
    "DEGREES",
    "DIRECTIONS",
    "FINITE_VERBS",
    "FRAME_WORDS",
    "FUNCTION_WORDS",
    "JOINERS",
    "LIGHT_WORDS",
    "NEGATIONS",
    "OBJECT_PRONOUNS",
    "POSSESSIVES",
    "QUANTIFIERS",
    "QUESTION_WORDS",
]

ARTICLES = word_set("a an the this that these those")

ABILITIES = word_set("can could may might")
ADVICE = word_set("should must ought")
FINITE_VERBS = ABILITIES | ADVICE | word_set("is are am was were do does did would will shall has")
"""Auxiliaries whose place in the sentence says question or statement, and nothing else."""

AUXILIARIES = FINITE_VERBS | word_set("be been being doing done have had having")

QUESTION_WORDS = word_set("what which who whom whose when where why how")

POSSESSIVES = word_set("my your his her its our their")

OBJECT_PRONOUNS = word_set("me you him her us them")

_PRONOUNS = word_set("""
    i me my mine myself you your yours yourself yourselves he him his himself she her hers herself
    it its itself we us our ours ourselves they them their theirs themselves one ones oneself
    somebody someone anybody anyone everybody everyone something anything everything 's
    """)

_PREPOSITIONS = word_set("""
    about above across after against along among amongst around as at before behind below beneath
    beside besides between beyond by despite down during for from in inside into like near of off on
    onto out outside over past per since than through throughout till to toward towards under
    underneath until unto up upon via with within without
    """)

_CONJUNCTIONS = word_set(
    "but so yet because although though while whereas if unless whether then else also as"
)

_COORDINATORS = word_set("and or nor vs versus both either neither")

_ADVERBS = word_set("""
    here there too very just even only still already again much many more most less least few some
    any all each every other another such own same rather quite almost instead
    """)

FRAME_WORDS = (
    ARTICLES
    | AUXILIARIES
    | QUESTION_WORDS
    | _PRONOUNS
    | _PREPOSITIONS
    | _CONJUNCTIONS
    | _COORDINATORS
)
"""Words that hold a sentence together without a meaning of their own."""

FUNCTION_WORDS = FRAME_WORDS | _ADVERBS

JOINERS = _PREPOSITIONS | _CONJUNCTIONS
"""Words that bind what follows to what stands before: the direction matters."""

COMMUTATIVE = frozenset({"and", "or", "nor", "vs", "versus", "&", "/", ","})
"""Words and marks that join equals: what stands on either side may change places."""

COMPARISONS = word_set(
    "between versus vs than differ difference distinguish compare comparison similarity better"
)
"""Words that ask to hold things against one another; one thing more is another question."""

DIRECTIONS = {
    word: pair[1 - place]
    for pair in (
        ("to", "from"),
        ("in", "out"),
        ("on", "off"),
        ("before", "after"),
        ("above", "below"),
        ("over", "under"),
        ("inside", "outside"),
        ("since", "until"),
        ("for", "against"),
    )
    for place, word in enumerate(pair)
}
"""A preposition to the one that turns it round before the same word."""

# They tell how, how much or how sure; a question with and without them has the same answer.
LIGHT_WORDS = word_set("""
    way ways thing things stuff kind kinds type types sort sorts several various different certain
    really actually exactly simply basically generally usually normally typically truly literally
    honestly seriously properly correctly possibly probably perhaps maybe please kindly ever
    currently presently nowadays lot lots bit etc get gets getting got gotten
    good best better great top nice well right proper actual whole particular specific general
    easy easily quick quickly effective effectively efficient efficiently
    main major basic key common overall true fact yes ok okay world
    person people human humans individual individuals folk folks
    go going goes gone went come comes coming came tell tells telling told know knows knowing known
    think thinks thinking thought feel feels feeling felt let lets want wants wanted need needs
    needed like try tries trying tried able possible suggest suggestion suggestions recommend
    recommendation recommendations advice example examples instance
    """)

NEGATIONS = word_set("""
    not no never without none neither nor cannot nobody nothing nowhere hardly scarcely barely
    avoid avoids avoiding avoided prevent prevents preventing prevented stop stops stopping stopped
    refuse refuses refusing refused fail fails failing failed lack lacks lacking lacked
    except excluding unless besides
    """)

_QUANTIFIER_GROUPS = """
    all every each everyone everybody everything
    only solely
    both
    half
    always
    sometimes occasionally
    often frequently
    rarely seldom
    few
    afew
    alittle
    once
    twice
    almost nearly
    alone
    together
    last final
    next
    previous
    least
"""
QUANTIFIERS = {word: words[0] for words in read_lines(_QUANTIFIER_GROUPS) for word in words}
"""Words that say how many or how often, to the name of their group; "some" and "any" bind nothing."""

DEGREES = word_set("""
    long old far tall big large small high low deep wide fast slow often hot cold heavy hard strong
    expensive cheap good bad important popular safe dangerous difficult easy accurate common likely
    soon late early thick thin rich poor powerful effective reliable true real close near loud
    """)

CONTRACTIONS = {
    "ain't": ("is", "not"),
    "can't": ("cannot",),
    "won't": ("will", "not"),
    "shan't": ("shall", "not"),
    "let's": ("let", "us"),
    "it's": ("it", "is"),
    "cant": ("cannot",),
    "wont": ("will", "not"),
    "dont": ("do", "not"),
    "doesnt": ("does", "not"),
    "didnt": ("did", "not"),
    "isnt": ("is", "not"),
    "arent": ("are", "not"),
    "wasnt": ("was", "not"),
    "werent": ("were", "not"),
    "hasnt": ("has", "not"),
    "havent": ("have", "not"),
    "hadnt": ("had", "not"),
    "couldnt": ("could", "not"),
    "shouldnt": ("should", "not"),
    "wouldnt": ("would", "not"),
    "mustnt": ("must", "not"),
    "im": ("i", "am"),
    "ive": ("i", "have"),
    "youre": ("you", "are"),
    "whats": ("what", "is"),
    "whos": ("who", "is"),
    "hows": ("how", "is"),
    "wheres": ("where", "is"),
    "gonna": ("going", "to"),
    "wanna": ("want", "to"),
    "u": ("you",),
    "ur": ("your",),
}
