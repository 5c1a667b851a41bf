"""Words that turn an answer round: opposites, and the prefixes and endings that make them."""

from __future__ import annotations

from itertools import product

from sdk_workflow.core.semantic.stems import stem
from sdk_workflow.core.semantic.word_lists import read_lines

__all__ = ["OPPOSITES", "is_negated_form"]

# A word counts only against its own opposite: one that stands in one text alone proves nothing.
_LINES = """
    increase raise rise gain grow boost | decrease reduce lower lose shrink fall drop lessen
    buy purchase | sell
    worst | best
    worse | better
    legal lawful | illegal unlawful
    start begin | stop quit end
    enable activate | disable deactivate
    install | uninstall
    import | export
    encode | decode
    encrypt | decrypt
    upload | download
    compress | decompress extract
    maximum max | minimum min
    maximize | minimize
    highest | lowest
    north northern | south southern
    east eastern | west western
    summer | winter
    love like | hate dislike
    win | lose
    male boy man husband father brother son gentleman | female girl woman wife mother sister daughter lady
    boyfriend | girlfriend
    his him himself he | her hers herself she
    advantage benefit pros | disadvantage drawback cons
    strength | weakness
    positive | negative
    internal | external
    single unmarried | married
    public | private
    always | never
    safe | dangerous unsafe
    possible | impossible
    credit | debit
    lend | borrow
    employer | employee
    parent | child
    teacher | student
    arrive | depart leave
    arrival | departure
    inhale | exhale
    ascending | descending
    asset | liability
    guilty | innocent
    victory | defeat
    winner | loser
    success succeed | failure fail
    accept | reject refuse
    include | exclude
    inside | outside
    indoor | outdoor
    younger youngest | older oldest
    vertical | horizontal
    deep | shallow
    forward forwards | backward backwards
    clockwise | anticlockwise counterclockwise
    input | output
    online | offline
    introvert | extrovert
    theoretical theory | practical practice
    domestic | foreign international
    urban | rural
    rich wealthy | poor
    attack | defend
    attach | detach
    attract | repel
    permanent | temporary
    major majority | minor minority
    absent | present
    oral verbal | written
    theism theist | atheism atheist
    static | dynamic
    synchronous | asynchronous
    serial | parallel
    frontend | backend
    client | server
    sender | receiver recipient
    source | destination
    singular | plural
    prefix | suffix
    noun | verb
    acid acidic | alkaline base basic
    solid | liquid gas
    hotter hottest | colder coldest
    natural | artificial synthetic
    conductor | insulator
    debtor | creditor
    landlord | tenant
    predator | prey
    host | guest
    optimist optimistic | pessimist pessimistic
    qualitative | quantitative
    voluntary | compulsory mandatory
    mandatory required | optional
    explicit | implicit
    inner | outer
    former | latter
    lock | unlock
    block | unblock
    follow | unfollow
    subscribe | unsubscribe
    freeze | melt thaw
    empty | full
    alive | dead
    awake | asleep
    pro | anti
    before | after
    earlier | later
    good great | bad terrible
    high | low
    more | less fewer
    most | least
    many | few
    open | close shut
    add insert attach | remove delete
    new | old
    young | old
    long tall | short
    left | right
    up | down
    on | off
    in | out
    first | last
    next | last previous
    this | last next
    take | avoid give
    push | pull
    all every | any some no
    hot warm | cold cool
    fast quick | slow
    big large | small little
    easy simple | hard difficult complex complicated
    cheap | expensive
    cheapest | priciest
    strong | weak
    heavy | light
    hard | soft
    wet | dry
    thick fat | thin
    early | late
    day | night
    morning | evening night
    day month | year week
    black dark | white light
    king | queen
    uncle | aunt
    nephew | niece
    come arrive | go leave
    coming | going
    bring | take
    push | pull
    give | receive get take
    ask | answer
    question | answer
    send | receive
    save | spend waste
    lend | borrow
    remember | forget
    build create make | destroy delete break
    above | below
    over | under
    since | until
    odd | even
    laugh | cry
    happy | sad unhappy
    front | back
    top | bottom
    upper | lower
    beginning start | end
    problem | solution
    cause | effect consequence cure
    war | peace
    truth true real | lie false fake
    heaven | hell
    friend | enemy
    alone | together
    clean | dirty
    near close | far
    same | different
    single | double multiple
    simple | complex
    formal | informal
    normal regular | abnormal irregular special
    necessary | unnecessary
    pass | fail
    permit allow enable | forbid ban prohibit prevent stop
    should must | shouldn't mustn't
    can able | cannot unable
    past | future
    ancient | modern
    physical | mental chemical
    head | tail
    read | write
    listen | speak
    teach | learn
    hire | fire
    cold | warm
    wide broad | narrow
    sharp | blunt
    sweet | sour bitter salty
    light | dark
    smooth | rough
    tight | loose
    visible | invisible
    profit | loss
    supply | demand
"""

_SHORTEST_ROOT = 4
_NEGATING_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "mis", "anti", "de", "a")


def _table() -> dict[str, frozenset[str]]:
    table: dict[str, set[str]] = {}
    for words in read_lines(_LINES):
        middle = words.index("|")
        for one, other in product(map(stem, words[:middle]), map(stem, words[middle + 1 :])):
            table.setdefault(one, set()).add(other)
            table.setdefault(other, set()).add(one)
    return {word: frozenset(others) for word, others in table.items()}


OPPOSITES = _table()
"""The stem of a word to the stems that stand against it."""


def is_negated_form(one: str, other: str) -> bool:
    """Say whether one of two stems is the other with a negating prefix or ending.

    >>> is_negated_form("reliabl", "unreliabl"), is_negated_form("careless", "careful")
    (True, True)
    """
    short, long = sorted((one, other), key=len)
    if len(short) < _SHORTEST_ROOT:
        return False
    if long.endswith(short) and long.removesuffix(short) in _NEGATING_PREFIXES:
        return True
    return _lacks(one, other) or _lacks(other, one)


def _lacks(one: str, other: str) -> bool:
    return one.endswith("less") and one.removesuffix("less") == other.removesuffix("ful")
