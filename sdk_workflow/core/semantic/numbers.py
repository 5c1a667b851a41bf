"""Reads quantities: numerals, number words, ordinals, roman numerals, versions, units and dates.

It knows single tokens only; which tokens belong together is for the caller to see.
"""

from __future__ import annotations

import re

from sdk_workflow.core.semantic.word_lists import read_lines

__all__ = [
    "AMBIGUOUS_DATES",
    "CURRENCIES",
    "DATES",
    "SCALES",
    "UNITS",
    "join_numbers",
    "read_number_word",
    "read_numeral",
    "read_roman",
]

_NUMBER_LINES = """
    0 zero
    1 first
    2 two
    3 three third
    4 four fourth
    5 five fifth
    6 six sixth
    7 seven seventh
    8 eight eighth
    9 nine ninth
    10 ten tenth
    11 eleven eleventh
    12 twelve twelfth dozen
    13 thirteen thirteenth
    14 fourteen fourteenth
    15 fifteen fifteenth
    16 sixteen sixteenth
    17 seventeen seventeenth
    18 eighteen eighteenth
    19 nineteen nineteenth
    20 twenty twentieth
    30 thirty thirtieth
    40 forty fortieth
    50 fifty fiftieth
    60 sixty
    70 seventy
    80 eighty
    90 ninety
"""
# Without "one", mostly a pronoun, and "second", mostly a unit: only their neighbours tell.
_NUMBER_WORDS = {word: int(words[0]) for words in read_lines(_NUMBER_LINES) for word in words[1:]}

SCALES = {
    "hundred": 10**2,
    "thousand": 10**3,
    "k": 10**3,
    "lakh": 10**5,
    "lakhs": 10**5,
    "lac": 10**5,
    "million": 10**6,
    "millions": 10**6,
    "mn": 10**6,
    "crore": 10**7,
    "crores": 10**7,
    "billion": 10**9,
    "billions": 10**9,
    "bn": 10**9,
    "trillion": 10**12,
}
"""What a number before it is multiplied by."""

CURRENCIES = {"$": "usd", "€": "eur", "£": "gbp", "₹": "inr", "¥": "jpy", "%": "percent"}

_UNIT_LINES = """
    second sec secs seconds
    minute min mins minutes
    hour hr hrs hours
    day days
    week weeks
    month months
    year yr yrs years
    decade decades
    century centuries
    km kms kilometer kilometers kilometre kilometres
    meter meters metre metres
    cm centimeter centimeters centimetre centimetres
    mm millimeter millimeters millimetre millimetres
    mile miles mi
    yard yards
    foot feet ft
    inch inches
    kg kgs kilo kilos kilogram kilograms
    gram grams gm gms
    mg milligram milligrams
    pound pounds lb lbs
    ounce ounces oz
    ton tons tonne tonnes
    liter liters litre litres
    ml milliliter milliliters millilitre millilitres
    gallon gallons
    celsius centigrade
    fahrenheit
    kelvin
    byte bytes
    kb kilobyte kilobytes
    mb megabyte megabytes
    gb gigabyte gigabytes
    tb terabyte terabytes
    mbps
    gbps
    hz hertz
    khz
    mhz
    ghz
    volt volts
    watt watts
    kw kilowatt kilowatts
    ampere amperes amp amps
    percent percentage
    degree degrees
    usd dollar dollars bucks
    eur euro euros
    gbp sterling
    inr rupee rupees rs
    jpy yen
    cny yuan rmb
    aed dirham dirhams
"""
UNITS = {word: words[0] for words in read_lines(_UNIT_LINES) for word in words}
"""A unit of measure, in any form, to its name."""

_DATE_LINES = """
    january jan
    february feb
    march mar
    april apr
    may
    june jun
    july jul
    august aug
    september sep sept
    october oct
    november nov
    december dec
    monday
    tuesday
    wednesday
    thursday
    friday
    saturday
    sunday
    yesterday
    tomorrow
    spring
    autumn
    christmas
    easter
"""
DATES = {word: words[0] for words in read_lines(_DATE_LINES) for word in words}
"""A word for a time in the year, the week or from now, to its name."""

AMBIGUOUS_DATES = frozenset({"may", "march", "mar", "jan", "spring"})
"""Words that are dates only when they are written as a name in the middle of a sentence."""

_NUMERAL = re.compile(r"(-?)(v?)([.,]?\d+(?:[.,]\d+)*)([^\W\d_]*)", re.IGNORECASE)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{2,3})+(?:\.\d+)?")
_ROMAN = re.compile(r"(?=[IVX]{2})X{0,3}(?:IX|IV|V?I{0,3})")
_ROMAN_VALUES = {"I": 1, "V": 5, "X": 10}
_DIGITS = frozenset(range(1, 10))
_TENS = frozenset(range(20, 100, 10))
_ORDINAL_ENDINGS = frozenset({"st", "nd", "rd", "th", "s", ""})


def read_numeral(token: str) -> tuple[str, str]:
    """Return the canonical value of a token that starts with a digit, and the letters after it.

    >>> read_numeral("1,500km"), read_numeral("35k"), read_numeral("12th"), read_numeral("2.10.0")
    (('1500', 'km'), ('35000', ''), ('12', ''), ('v2.10.0', ''))
    """
    match = _NUMERAL.fullmatch(token)
    if match is None:
        return token.lower(), ""
    sign, mark, digits, letters = match.groups()
    letters = letters.lower()
    if mark or digits.count(".") > 1:
        return f"v{digits}", letters
    value = sign + _plain(digits)
    if letters in _ORDINAL_ENDINGS:
        return value, ""
    if letters in SCALES and "." not in value:
        return str(int(value) * SCALES[letters]), ""
    return value, letters


def _plain(digits: str) -> str:
    if _GROUPED.fullmatch(digits):
        digits = digits.replace(",", "")
    whole, point, part = digits.replace(",", ".").partition(".")
    whole = whole.lstrip("0") or "0"
    return f"{whole}.{part}" if point and part.strip("0") else whole


def read_number_word(word: str) -> str | None:
    """Return the value of a number word or a scale, None for other words and for "one"."""
    value = _NUMBER_WORDS.get(word)
    if value is None and len(word) > len("bn"):
        value = SCALES.get(word)
    return None if value is None else str(value)


def join_numbers(left: str, word: str, right: str) -> str | None:
    """Return what two numbers that follow one another make, None where they stay two.

    Args:
        left: Value of the first.
        word: The second, as it is written.
        right: Value of the second.

    >>> join_numbers("2", "million", "1000000"), join_numbers("20", "five", "5")
    ('2000000', '25')
    """
    if not (left.isdigit() and right.isdigit()):
        return None
    if word in SCALES:
        return str(int(left) * int(right))
    is_compound = word.isalpha() and int(left) in _TENS and int(right) in _DIGITS
    return str(int(left) + int(right)) if is_compound else None


def read_roman(token: str) -> int | None:
    """Return the value of a roman numeral of two or more of the letters I, V and X, else None.

    >>> read_roman("XIV"), read_roman("VIX"), read_roman("I")
    (14, None, None)
    """
    if not _ROMAN.fullmatch(token):
        return None
    total = 0
    for letter, following in zip(token, f"{token[1:]}I", strict=True):
        value = _ROMAN_VALUES[letter]
        total += -value if value < _ROMAN_VALUES[following] else value
    return total
