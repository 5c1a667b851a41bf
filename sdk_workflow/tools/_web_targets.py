"""Reads the address of a page and compares its host with those that the user allows. Pure text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from sdk_workflow.exceptions import InvalidToolInput, ToolDenied

if TYPE_CHECKING:
    from collections.abc import Iterable
    from urllib.parse import SplitResult

_PORTS = {"http": 80, "https": 443}
_MAX_CHARACTERS = 2000
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_ADDRESS = re.compile(r"[0-9a-f:.]*:[0-9a-f:.]*")  # IPv6, without a zone
_WRITE_PLAINLY = "Write it plainly, such as https://example.com/page."


@dataclass(frozen=True, slots=True, kw_only=True)
class WebTarget:
    """Where a request goes: host and port, and what to ask for there."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host as the `Host` header names it."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def url(self) -> str:
        """The whole address."""
        return f"{self.scheme}://{self.authority}{self.path}"


def read_target(url: str, *, base: WebTarget | None = None) -> WebTarget:
    """Return where an address leads; a redirect's may be relative to `base`.

    Raises:
        InvalidToolInput: If it is no clear address: controls, backslashes, credentials, odd names.
        ToolDenied: If its scheme or port is not one of the web.

    Example:
        >>> read_target("https://Example.com/a?b=1#c").url
        'https://example.com/a?b=1'
    """
    if len(url) > _MAX_CHARACTERS:
        raise InvalidToolInput(
            f"The address has {len(url):,} characters, and {_MAX_CHARACTERS:,} are the limit.",
            hint="Use a shorter one.",
        )
    if re.search(r"[\x00-\x20\x7f\\]", url) or not url.isprintable():
        raise _unclear(url, "it holds a blank, a backslash or an invisible character")
    parts = _split(url if base is None else urljoin(base.url, url), url)
    if parts.scheme not in _PORTS:
        raise ToolDenied(
            f"The address {url!r} has the scheme {parts.scheme!r}; only http and https are fetched.",
            hint=_WRITE_PLAINLY,
        )
    if "@" in parts.netloc:
        raise _unclear(url, "credentials do not belong in an address")
    if _port_of(parts, url) not in {None, _PORTS[parts.scheme]}:
        raise ToolDenied(
            f"The address {url!r} names a port other than {_PORTS[parts.scheme]}.",
            hint="Leave the port out.",
        )
    query = f"?{parts.query}" if parts.query else ""
    return WebTarget(
        scheme=parts.scheme,
        host=_host(parts.hostname or "", url),
        port=_PORTS[parts.scheme],
        path=(parts.path or "/") + query,
    )


def check_host(host: str, allowed: Iterable[str]) -> None:
    """Refuse a host that the user has not named.

    Args:
        host: The host, as `read_target` returns it.
        allowed: Names; `*.example.com` stands for every name beneath, `*` for every host.

    Raises:
        ToolDenied: If none of them is meant.
    """
    names = tuple(name.casefold() for name in allowed)
    if any(_is_meant(name, host) for name in names):
        return
    known = f"Those are: {', '.join(names)}." if names else "There is none so far."
    raise ToolDenied(
        f"The host {host!r} is not one that the user has opened to the network tool. {known}",
        code="host_not_allowed",
        hint="Go on without it, or ask the user to add it to the setting network_hosts.",
    )


def _is_meant(name: str, host: str) -> bool:
    if name.startswith("*."):
        return host.endswith(name[1:])
    return name in {"*", host}


def _split(url: str, shown: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise _unclear(shown, str(error)) from None


def _port_of(parts: SplitResult, url: str) -> int | None:
    try:
        return parts.port
    except ValueError as error:
        raise _unclear(url, str(error)) from None


def _host(host: str, url: str) -> str:
    """Return the host in the form that travels: lower case, ASCII, compatible characters folded."""
    try:
        plain = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise _unclear(url, "its host is no name") from None
    if not _NAME.fullmatch(plain) and not _ADDRESS.fullmatch(plain):
        raise _unclear(url, "its host is no plain name")
    return plain


def _unclear(url: str, reason: str) -> InvalidToolInput:
    return InvalidToolInput(
        f"The address {url[:200]!r} is not clear: {reason}.", hint=_WRITE_PLAINLY
    )
