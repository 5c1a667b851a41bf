"""Bad inputs 40 to 45: addresses, put to the network tool with a resolver and a server of our own."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any

import anyio
import httpx2
import pytest

from sdk_workflow.exceptions import InvalidToolInput, ToolDenied, ToolFailed, ToolTimeout
from sdk_workflow.tools import web_fetch
from sdk_workflow.tools._addresses import is_public
from sdk_workflow.tools.builtin.network import network_tool
from sdk_workflow.tools.permissions import Permissions
from sdk_workflow.tools.web_fetch import MAX_BODY_BYTES, WebFetcher

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from tests.security.support import Agent

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.215.14"


class Net:
    """A resolver and a server; it notes what was asked of both."""

    def __init__(self, addresses: dict[str, Sequence[str]] | None = None) -> None:
        self.addresses = {"example.com": [PUBLIC], "other.org": ["2606:4700::1111"]}
        self.addresses.update({name: list(each) for name, each in (addresses or {}).items()})
        self.resolved: list[str] = []
        self.requests: list[httpx2.Request] = []

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        assert port in {80, 443}
        self.resolved.append(host)
        return self.addresses[host]

    def fetcher(
        self, answer: Callable[[httpx2.Request], httpx2.Response], **options: Any
    ) -> WebFetcher:
        def note(request: httpx2.Request) -> httpx2.Response:
            self.requests.append(request)
            return answer(request)

        return WebFetcher(
            hosts=options.pop("hosts", ["*"]),
            resolve=self.resolve,
            transport=httpx2.MockTransport(note),
            **options,
        )


def hello(_request: httpx2.Request) -> httpx2.Response:
    return answered(b"hello")


def answered(body: bytes, *, status: int = 200) -> httpx2.Response:
    async def pieces() -> AsyncIterator[bytes]:
        yield body

    return httpx2.Response(status, content=pieces())


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0177.0.0.1", "0x7f000001", "0x7f.1", "127.1", "\uff11\uff12\uff17.0.0.1", "0"],
)
async def test_40_odd_ways_of_writing_an_address(agent: Agent, host: str) -> None:
    """The system's own resolver reads them, and what it returns is judged."""
    permissions = Permissions(hosts=["*"])
    result = await agent.call("network", {"url": f"http://{host}/"}, permissions=permissions)
    assert result.error_code in {"address_not_public", "host_not_found", "invalid_tool_input"}


@pytest.mark.parametrize(
    "address",
    [
        *("::ffff:127.0.0.1", "::7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "::", "::1"),
        *("fe80::1%eth0", "fe80::1", "fec0::1", "ff02::1", "3fff::1", "5f00::1", "2001:db8::1"),
        *("2606:4700::5efe:7f00:1", "2606:4700::200:5efe:a00:1", "64:ff9b:1::1", "fd00::1"),
        *(
            "2001:0:4136:e378:8000:63bf:80ff:fffe",
            "not an address",
            "0.0.0.0",  # noqa: S104 - an address that is refused
            "10.0.0.1",
        ),
        *("172.16.0.1", "192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("127.0.0.1", "169.254.169.254", "192.0.0.192", "192.88.99.1", "2001:20::1", "100::1"),
    ],
)
async def test_41_addresses_that_are_not_of_the_internet(agent: Agent, address: str) -> None:
    net = Net({"example.com": [PUBLIC, address]})
    with pytest.raises(ToolDenied, match="not of the public internet"):
        await net.fetcher(hello).fetch("http://example.com/")
    assert net.requests == []
    host = f"[{address}]" if ":" in address else address
    result = await agent.call(
        "network", {"url": f"http://{host}/"}, permissions=Permissions(hosts=["*"])
    )
    assert result.is_error


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "64:ff9b::5db8:d70e", "8.8.8.8"])
def test_41_addresses_of_the_internet_pass(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("169.254.169.254", "169.254.169.254"),
        ("[fd00:ec2::254]", "fd00:ec2::254"),
        ("metadata.google.internal", "169.254.169.254"),
        ("192.0.0.192", "192.0.0.192"),
        ("100.100.100.200", "100.100.100.200"),
        ("168.63.129.16", "168.63.129.16"),
    ],
)
async def test_42_services_of_clouds(host: str, address: str) -> None:
    net = Net({host.strip("[]"): [address]})
    with pytest.raises(ToolDenied, match="not of the public internet"):
        await net.fetcher(hello).fetch(f"http://{host}/latest/meta-data/")
    assert net.requests == []


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("http://127.0.0.1/", ToolDenied),
        ("//169.254.169.254/x", ToolDenied),
        ("file:///etc/passwd", ToolDenied),
        ("gopher://example.com/", ToolDenied),
        ("http://u:p@example.com/", InvalidToolInput),
        ("http://example.com:6379/", ToolDenied),
        ("http://unknown.net/", ToolDenied),
        ("/again", ToolFailed),
    ],
)
async def test_43_redirects_that_lead_astray(location: str, error: type[Exception]) -> None:
    net = Net({"127.0.0.1": ["127.0.0.1"], "169.254.169.254": ["169.254.169.254"]})

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(302, headers={"location": location})

    hosts = ["example.com", "127.0.0.1", "169.254.169.254"]
    with pytest.raises(error):
        await net.fetcher(answer, hosts=hosts).fetch("http://example.com/")
    assert len(net.requests) <= 6


async def test_43_a_redirect_takes_nothing_along(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://user:planted@127.0.0.1:9")
    net = Net()

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.headers["host"] == "example.com":
            headers = {"location": "https://other.org/b?c=1", "set-cookie": "session=1"}
            return httpx2.Response(301, headers=headers)
        return hello(request)

    page = await net.fetcher(answer).fetch("http://example.com/a#part")
    assert (page.url, page.body) == ("https://other.org/b?c=1", b"hello")
    first, second = net.requests
    assert str(first.url) == f"http://{PUBLIC}/a"
    assert str(second.url) == "https://[2606:4700::1111]/b?c=1"
    assert second.extensions["sni_hostname"] == "other.org"
    sent = {name.lower() for request in net.requests for name in request.headers}
    assert sent.isdisjoint({"authorization", "cookie", "proxy-authorization", "referer"})


async def test_44_a_name_that_changes_its_mind_is_asked_once() -> None:
    net = Net()
    answers = iter([[PUBLIC], ["127.0.0.1"]])

    async def rebinding(host: str, _port: int) -> Sequence[str]:
        net.resolved.append(host)
        return next(answers)

    net.resolve = rebinding  # type: ignore[method-assign,assignment]
    fetcher = net.fetcher(hello)
    await fetcher.fetch("http://example.com/")
    assert net.resolved == ["example.com"]
    assert [request.url.host for request in net.requests] == [PUBLIC]
    assert net.requests[0].headers["host"] == "example.com"
    with pytest.raises(ToolDenied):
        await fetcher.fetch("http://example.com/")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com\0.evil.org/",
        "http://evil.org#@example.com/",
        "http://evil.org\\@example.com/",
        "http://example.com@evil.org/",
        "http://user:pass@example.com/",
        "http://example.com./",
        "http://example.com%2f@evil.org/",
        "http://exa\u2100mple.com/",
        "http://notexample.com/",
        "http://example.com.evil.org/",
        "http://[::1/",
        "http://example.com:99999/",
        "http://example.com:8080/",
        "http:///etc/passwd",
        "http://example.com/a b",
        "ftp://example.com/",
        "example.com",
        "http://example.com/" + "a" * 3000,
        "http://example.com/a\\b",
        "http://" + "a" * 64 + ".com/",
        "http://[fe80::1%25eth0]/",
    ],
)
async def test_44_hosts_that_only_look_allowed(agent: Agent, url: str) -> None:
    net = Net()
    with pytest.raises((ToolDenied, InvalidToolInput)):
        await net.fetcher(hello, hosts=["example.com", "*.example.com"]).fetch(url)
    assert net.resolved == []
    result = await agent.call(
        "network", {"url": url}, permissions=Permissions(hosts=["example.com"])
    )
    assert result.is_error


async def test_44_hosts_are_compared_in_one_form() -> None:
    net = Net({"xn--bcher-kva.example.com": [PUBLIC]})
    fetcher = net.fetcher(hello, hosts=["Example.com", "*.example.com"])
    for url in ("HTTP://EXAMPLE.com", "http://b\u00fccher.example.com:80/"):
        assert (await fetcher.fetch(url)).body == b"hello"
    assert net.resolved == ["example.com", "xn--bcher-kva.example.com"]


async def test_44_no_host_is_open_by_itself(agent: Agent) -> None:
    text = await agent.refused("network", url="https://example.com/")
    assert "network_hosts" in text


async def test_45_a_body_that_drips_is_cut_off_in_time() -> None:
    async def drip() -> AsyncIterator[bytes]:
        yield b"x"
        await anyio.sleep_forever()

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=drip())

    with anyio.fail_after(4), pytest.raises(ToolTimeout, match=r"within 0\.05 seconds"):
        await Net().fetcher(answer, timeout_seconds=0.05).fetch("http://example.com/")


async def test_45_a_compressed_body_is_not_unfolded() -> None:
    def answer(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["accept-encoding"] == "identity"
        return httpx2.Response(200, content=Bomb(), headers={"content-encoding": "gzip"})

    with pytest.raises(ToolFailed, match="compressed"):
        await Net().fetcher(answer).fetch("http://example.com/")


class Bomb(httpx2.AsyncByteStream):
    """A body that must not be read."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"never"
        raise AssertionError("The body was read.")


async def test_45_a_body_is_counted_whatever_its_length_says() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1
            yield b"x" * 65536

    def answer(_request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=endless(), headers={"x-length": str(10**10)})

    with pytest.raises(ToolFailed, match="larger than"):
        await Net().fetcher(answer).fetch("http://example.com/")
    assert taken * 65536 <= MAX_BODY_BYTES + 65536


@pytest.fixture
def lying_server() -> Iterator[int]:
    """A real server that promises ten gigabytes, sends a few bytes and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\nfew")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        with contextlib.suppress(OSError):
            socket.create_connection(server.getsockname(), timeout=0.2).close()
        thread.join()


async def test_45_a_false_length_is_an_error(
    lying_server: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only test that really connects: to this machine, which is open for its length."""
    monkeypatch.setattr(web_fetch, "is_public", lambda _address: True)
    monkeypatch.setattr("sdk_workflow.tools._web_targets._PORTS", {"http": lying_server})
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")  # nobody is there, and nobody is asked
    with anyio.fail_after(5), pytest.raises(ToolFailed, match="RemoteProtocolError"):
        await WebFetcher(hosts=["localhost"]).fetch("http://localhost/")


async def test_a_page_that_says_no_and_one_that_is_no_text_are_told_apart() -> None:
    pages = iter([answered(b"gone", status=404), answered(b"a\0b"), answered(b"\x1b[1mfine")])
    fetcher = Net().fetcher(lambda _request: next(pages))
    tool = network_tool((), fetcher=fetcher)
    with pytest.raises(ToolFailed, match="status 404"):
        await tool.run(url="http://example.com/")
    with pytest.raises(ToolFailed, match="is no text"):
        await tool.run(url="http://example.com/")
    assert await tool.run(url="http://example.com/") == "fine"


async def test_the_next_address_is_tried_where_one_does_not_answer() -> None:
    net = Net({"example.com": [PUBLIC, "8.8.8.8"]})

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == PUBLIC:
            raise httpx2.ConnectError("refused")
        return hello(request)

    assert (await net.fetcher(answer).fetch("http://example.com/")).body == b"hello"
    net.addresses["example.com"] = [PUBLIC]
    with pytest.raises(ToolFailed, match="ConnectError"):
        await net.fetcher(answer).fetch("http://example.com/")
    net.addresses["example.com"] = []
    with pytest.raises(ToolDenied):
        await net.fetcher(answer).fetch("http://example.com/")


async def test_a_name_without_an_address_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ToolFailed, match="has no address: Name or service not known"):
        await WebFetcher(hosts=["*"]).fetch("http://example.com/")
