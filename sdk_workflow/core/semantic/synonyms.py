"""Near-synonyms and abbreviations of everyday English, grouped: words of a group count as one.

A general thesaurus, short on purpose. It is not applied to names: Boston College is not Boston
University.
"""

from __future__ import annotations

from sdk_workflow.core.semantic.stems import stem
from sdk_workflow.core.semantic.word_lists import read_lines

__all__ = ["CONCEPTS"]

# A word stands in one group only: its first group wins. Each group is named by its first word.
_GROUPS = """
    increase raise boost improve enhance grow gain
    decrease reduce lower lessen diminish
    begin start commence
    end finish conclude
    buy purchase
    large big huge massive enormous giant
    biggest largest greatest
    small little tiny
    smallest littlest tiniest
    fast quick rapid speedy
    fastest quickest
    film movie
    show series
    photo picture image photograph pic
    company firm corporation organization organisation
    job employment occupation
    career profession
    car automobile
    phone telephone cellphone smartphone mobile
    laptop notebook
    app application
    website site webpage
    internet web online
    doctor physician
    lawyer attorney
    teacher instructor tutor
    exam examination test
    prepare preparation
    make create produce
    build construct
    use utilize utilise usage employ
    obtain acquire
    fix repair mend
    solve resolve
    remove delete erase
    choose select pick
    help assist aid
    reply respond response
    happen occur
    display exhibit
    allow permit
    require necessitate
    speak talk
    meaning definition define signify mean meant
    cause reason
    purpose aim goal objective
    benefit advantage pros
    drawback disadvantage cons downside
    differ difference distinguish distinction
    famous renowned
    important significant essential vital crucial
    difficult hard tough challenging
    simple straightforward
    amazing awesome incredible astonishing surprising
    beautiful gorgeous
    happy glad joyful
    angry mad furious
    afraid scared frightened
    smart intelligent clever
    stupid dumb foolish
    rich wealthy
    sick ill
    strange weird odd
    funny humorous hilarious
    country nation
    city town
    area region
    place location spot
    house home
    child kid
    mother mom mum
    father dad
    money cash
    price cost
    salary wage pay
    method technique approach
    procedure process
    trick hack
    opinion view
    idea concept notion
    problem issue trouble
    mistake error
    rule regulation
    quit resign
    learn study
    discover find locate
    safe secure
    maximum max
    minimum min
    information info
    introduction intro
    vegetable veggie
    television tv
    refrigerator fridge
    advertisement ad advert
    mathematics math maths
    laboratory lab
    petrol gasoline
    vacation holiday
    apartment flat
    elevator lift
    eat consume
    describe depict
    injure hurt
    journey trip
    road street
    rubbish garbage trash
    stomach belly
    sofa couch
    store shop
    clothes clothing garment
    cure remedy
    effect impact consequence
    rate percentage
    quantity amount
    javascript js
    typescript ts
    python py
    database db
    kubernetes k8s
    repository repo
    administrator admin
    configuration config
    documentation docs
    developer dev
    government govt
    department dept
    international intl
    artificial-intelligence ai
    usa america
    uk britain
"""


def _concepts() -> dict[str, str]:
    table: dict[str, str] = {}
    for words in read_lines(_GROUPS):
        stems = [stem(word) for word in words]
        for base in stems:
            table.setdefault(base, stems[0])
    return table


CONCEPTS = _concepts()
"""The stem of a word to the stem that names its group."""
