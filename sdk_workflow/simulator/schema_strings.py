"""Makes a string that fits a JSON schema: its format, its pattern, its length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sdk_workflow.simulator.pattern_faker import UnreadablePatternError, matches, text_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["string_for"]

# The first one, and how others are made; a format of which there is no need of others has one.
_FORMATS = {
    "date": ("2026-01-01", "2026-{month:02}-{day:02}"),
    "date-time": ("2026-01-01T00:00:00Z", "2026-{month:02}-{day:02}T00:00:00Z"),
    "time": ("00:00:00Z", "00:{day:02}:{month:02}Z"),
    "duration": ("PT1H", "PT{n}H"),
    "email": ("someone@example.com", "someone{n}@example.com"),
    "idn-email": ("someone@example.com", "someone{n}@example.com"),
    "hostname": ("example.com", "host{n}.example.com"),
    "idn-hostname": ("example.com", "host{n}.example.com"),
    "ipv4": ("192.0.2.1", "192.0.2.{day}"),
    "ipv6": ("2001:db8::1", "2001:db8::{n:x}"),
    "uri": ("https://example.com/", "https://example.com/{n}"),
    "uri-reference": ("https://example.com/", "https://example.com/{n}"),
    "iri": ("https://example.com/", "https://example.com/{n}"),
    "iri-reference": ("https://example.com/", "https://example.com/{n}"),
    "uri-template": ("https://example.com/", "https://example.com/{n}"),
    "uuid": ("00000000-0000-4000-8000-000000000000", "00000000-0000-4000-8000-{n:012x}"),
    "json-pointer": ("/a", "/{n}"),
    "relative-json-pointer": ("0", "{n}"),
    "regex": (".*", ".{{{n}}}"),
}
_MAX_EXTRA = 8


def string_for(schema: Mapping[str, Any], candidates: Iterator[str], variant: int) -> str:
    """Return a string that a schema takes, if one is found.

    Args:
        schema: `format`, `pattern`, `minLength` and `maxLength` count.
        candidates: Texts of the prompt, the best first; no more of them is read than is needed.
        variant: Which of the strings: others for other variants, where there are several.
    """
    formatted = _FORMATS.get(str(schema.get("format")))
    if formatted is not None:
        return _formatted(formatted, variant)
    if isinstance(schema.get("pattern"), str):
        return _patterned(schema, candidates, variant)
    return _sized(next(candidates), *_lengths(schema), variant)


def _lengths(schema: Mapping[str, Any]) -> tuple[int, int | None]:
    most = schema.get("maxLength")
    return int(schema.get("minLength", 0)), None if most is None else int(most)


def _formatted(formatted: tuple[str, str], variant: int) -> str:
    if variant == 0:
        return formatted[0]
    n = variant + 1
    return formatted[1].format(n=n, day=n % 28 + 1, month=n // 28 % 12 + 1)


def _sized(text: str, least: int, most: int | None, variant: int) -> str:
    suffix = f" {variant + 1}" if variant else ""
    if most is not None and most <= len(suffix):
        # Too short for words: a sign of its own for each.
        suffix = chr(ord("a") + variant % 26) if variant and most else ""
    text = text.ljust(least - len(suffix), ".")
    return text[: None if most is None else most - len(suffix)] + suffix


def _patterned(schema: Mapping[str, Any], candidates: Iterator[str], variant: int) -> str:
    pattern = schema["pattern"]
    least, most = _lengths(schema)
    text = ""
    for text in (*(candidates if variant == 0 else ()), *_made(pattern, least, variant)):
        is_sized = least <= len(text) and (most is None or len(text) <= most)
        if is_sized and matches(pattern, text):
            break
    return text


def _made(pattern: str, least: int, variant: int) -> Iterator[str]:
    try:
        shortest = text_for(pattern, variant=variant)
        yield shortest
        missing = max(0, least - len(shortest))
        for extra in dict.fromkeys((missing, -(-missing // 2), *range(1, _MAX_EXTRA + 1))):
            yield text_for(pattern, variant=variant, extra=extra)
        yield shortest.ljust(least, "x")  # an expression without an end takes any
    except UnreadablePatternError:
        return
