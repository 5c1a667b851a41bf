"""Fetches one page from an address that was judged first, and from no other.

Each hop is resolved once, every address that came back must be public, and the connection goes to
one of those: a name that changes its mind in between leads nowhere. Redirects are followed by hand,
each judged anew. Nothing of the environment goes along: no proxy, no credentials, no cookies.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sdk_workflow.exceptions import ToolDenied, ToolFailed, ToolTimeout
from sdk_workflow.tools._addresses import is_public
from sdk_workflow.tools._threads import DaemonThreads
from sdk_workflow.tools._web_targets import check_host, read_target

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from sdk_workflow.tools._web_targets import WebTarget

__all__ = ["Page", "WebFetcher"]

MAX_BODY_BYTES = 5 * 1024 * 1024
_MAX_REDIRECTS = 5
_MAX_ADDRESSES = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What came back: the last address, its status, the kind of content and the content."""

    url: str
    status: int
    content_type: str
    body: bytes


class WebFetcher:
    """Fetches pages from the hosts that the user allows.

    Args:
        hosts: What may be asked: names, `*.example.com`, or `*` for every public host.
        timeout_seconds: The limit of one page with all its redirects.
        resolve: Returns the addresses of a host; the system's resolver by default.
        transport: Carries the requests; the network by default.

    Example:
        >>> import anyio
        >>> try:
        ...     anyio.run(WebFetcher(hosts=["example.com"]).fetch, "http://127.0.0.1/")
        ... except ToolDenied as error:
        ...     error.code
        'host_not_allowed'
    """

    def __init__(
        self,
        *,
        hosts: Sequence[str],
        timeout_seconds: float = 30.0,
        resolve: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
        transport: Any = None,
    ) -> None:
        self._hosts = tuple(hosts)
        self._timeout_seconds = timeout_seconds
        self._threads = DaemonThreads()
        self._resolve = resolve or self._ask_system
        self._transport = transport

    async def fetch(self, url: str) -> Page:
        """Return a page.

        Raises:
            InvalidToolInput: If the address is not clear.
            ToolDenied: If its host is not allowed, or leads to an address that is not public.
            ToolFailed: If the page cannot be fetched, is too large, or is encoded.
            ToolTimeout: If it did not arrive in time.
        """
        import anyio

        with anyio.move_on_after(self._timeout_seconds):
            return await self._follow(url)
        raise ToolTimeout(
            f"The page did not arrive within {self._timeout_seconds:g} seconds.",
            hint="Try a smaller page, or go on without it.",
        )

    async def _follow(self, url: str) -> Page:
        target = read_target(url)
        for _ in range(_MAX_REDIRECTS + 1):
            answer = await self._hop(target)
            if isinstance(answer, Page):
                return answer
            target = read_target(answer, base=target)
        raise ToolFailed(
            f"The page redirected more than {_MAX_REDIRECTS} times.", code="too_many_redirects"
        )

    async def _hop(self, target: WebTarget) -> Page | str:
        """Ask one host: the page, or where it says to go on."""
        check_host(target.host, self._hosts)
        import httpx2

        addresses = await self._vetted(target)
        failure: Exception | None = None
        for address in addresses[:_MAX_ADDRESSES]:
            try:
                return await self._ask(target, address)
            except httpx2.ConnectError as error:
                failure = error
            except httpx2.HTTPError as error:
                raise _failed(target, error) from error
        raise _failed(target, failure)

    async def _vetted(self, target: WebTarget) -> list[str]:
        try:
            addresses = list(await self._resolve(target.host, target.port))
        except OSError as error:
            raise ToolFailed(
                f"The host {target.host!r} has no address: {error.strerror or error}.",
                code="host_not_found",
            ) from error
        if not addresses or not all(map(is_public, addresses)):
            raise ToolDenied(
                f"The host {target.host!r} leads to an address that is not of the public internet.",
                code="address_not_public",
                hint="Only public hosts can be fetched; go on without it.",
            )
        return addresses

    async def _ask_system(self, host: str, port: int) -> list[str]:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await self._threads.run(look_up)
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    async def _ask(self, target: WebTarget, address: str) -> Page | str:
        import httpx2

        place = f"[{address}]" if ":" in address else address
        client = httpx2.AsyncClient(
            transport=self._transport, trust_env=False, follow_redirects=False, timeout=None
        )
        request = client.build_request(
            "GET",
            f"{target.scheme}://{place}:{target.port}{target.path}",
            headers={
                "Host": target.authority,
                "Accept-Encoding": "identity",
                "User-Agent": "sdk-workflow",
            },
            # The certificate must be the name's, not the address's.
            extensions={"sni_hostname": target.host},
        )
        async with client, contextlib.AsyncExitStack() as stack:
            response = await client.send(request, stream=True)
            stack.push_async_callback(response.aclose)
            location = response.headers.get("location")
            if response.status_code in _REDIRECTS and location:
                return str(location)
            return Page(
                url=target.url,
                status=response.status_code,
                content_type=response.headers.get("content-type", ""),
                body=await _body(response),
            )


async def _body(response: Any) -> bytes:
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise ToolFailed(
            f"The page came compressed as {encoding!r}, which was not asked for.",
            code="encoded_page",
            hint="Go on without it: what it would unfold to cannot be told.",
        )
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise ToolFailed(
                f"The page is larger than {MAX_BODY_BYTES:,} bytes.",
                code="page_too_large",
                hint="Look for a smaller page that says the same.",
            )
    return bytes(body)


def _failed(target: WebTarget, error: Exception | None) -> ToolFailed:
    return ToolFailed(
        f"The page {target.url!r} cannot be fetched: {type(error).__name__}: {error}.",
        code="fetch_failed",
    )
