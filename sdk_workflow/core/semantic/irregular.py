"""English words whose forms no rule derives, each line opening with the form that stands for all."""

from __future__ import annotations

from sdk_workflow.core.semantic.word_lists import read_lines, word_set

__all__ = ["IRREGULAR_FORMS", "PAST_FORMS"]

_NOUNS = """
    man men
    woman women
    child children kid kids
    foot feet
    tooth teeth
    mouse mice
    goose geese
    life lives
    wife wives
    knife knives
    leaf leaves
    wolf wolves
    half halves
    crisis crises
    analysis analyses
    thesis theses
    criterion criteria
    phenomenon phenomena
    medium media
    bacterium bacteria
    program programme
    grey gray
    tyre tire
    aluminium aluminum
    check cheque
"""

# Base form, past, participle.
_VERBS = """
    buy bought
    sell sold
    make made
    take took taken
    go went gone goes
    give gave given
    write wrote written
    speak spoke spoken
    break broke broken
    choose chose chosen
    drive drove driven
    eat ate eaten
    fall fell fallen
    forget forgot forgotten
    grow grew grown
    hide hid hidden
    know knew known
    lose lost
    find found
    win won
    begin began begun
    run ran
    swim swam swum
    drink drank drunk
    sing sang sung
    ring rang rung
    think thought
    teach taught
    catch caught
    bring brought
    fight fought
    seek sought
    build built
    send sent
    spend spent
    lend lent
    sleep slept
    keep kept
    leave left
    lead led
    feed fed
    meet met
    pay paid
    say said
    hear heard
    hold held
    stand stood
    understand understood
    sit sat
    shoot shot
    throw threw thrown
    fly flew flown
    draw drew drawn
    wear wore worn
    steal stole stolen
    ride rode ridden
    rise rose risen
    see saw seen
    use used using
    die died dying
    lie lied lying
    become became
    mean meant
    feel felt
"""


IRREGULAR_FORMS = {
    form: words[0] for words in read_lines(_NOUNS) + read_lines(_VERBS) for form in words[1:]
}

PAST_FORMS = frozenset(words[1] for words in read_lines(_VERBS)) | word_set(
    "did was were had has went came got"
)
"""Verbs that look back; those that a rule derives end in "ed"."""
