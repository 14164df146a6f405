"""Addresses that strangers choose: nothing of a private network is ever connected to."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.container.manifest import Manifests
from node.container.origin import Origins, exempt_registries, local_registries
from node.public_network import AddressRefused, PublicTransport, either, is_public, public_addresses

PUBLIC = ("93.184.216.34", "8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "64:ff9b::8.8.8.8")
PRIVATE = (
    *("127.0.0.1", "127.255.255.255", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254"),
    *("100.64.0.1", "100.127.255.255", "0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1"),
    *(
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:0:192.168.1.1",
        "fe80::1",
        "fe80::1%eth0",
    ),
    *("fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "2002:c0a8:101::1", "2001::1"),
    *("64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "5f00::1", "3fff::1"),
    *("fd00:ec2::254", "no address", "", "1.2.3", "0x7f.1"),
)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_not_public(address: str) -> None:
    assert not is_public(address)


@given(st.integers(0, 2**32 - 1))
def test_nothing_that_the_standard_library_calls_private_is_public(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if is_public(str(address)):
        assert address.is_global
        assert not address.is_multicast
        assert is_public(str(ipaddress.IPv6Address((0x64FF9B << 96) | number)))
    else:
        assert not is_public(str(ipaddress.IPv6Address((0x64FF9B << 96) | number)))
    # An IPv4 address in an IPv6 dress is none of the public internet, whatever it is.
    for prefix in (0, 0xFFFF << 32, 0x2002 << 112 | number << 80, 0xFFFF << 48):
        assert not is_public(str(ipaddress.IPv6Address(prefix | number)))


class Resolver:
    """Answers in turn, as a name server of an attacker does; the last answer stays."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, _host: str, _port: int) -> Sequence[str]:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@pytest.mark.parametrize("bad", [each for each in PRIVATE if each])
async def test_one_bad_answer_among_good_ones_is_enough(bad: str) -> None:
    for answers in ([bad], ["8.8.8.8", bad], [bad, "8.8.8.8"], ["8.8.8.8", "2606:4700::1", bad, "1.1.1.1"]):
        with pytest.raises(AddressRefused):
            await public_addresses("example.org", 443, Resolver(answers))


async def test_no_answers_and_too_many() -> None:
    for answers in ([], ["8.8.8.8"] * 33):
        with pytest.raises(AddressRefused):
            await public_addresses("example.org", 443, Resolver(answers))

    async def broken(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no such host")

    with pytest.raises(AddressRefused, match="no such host"):
        await public_addresses("example.org", 443, broken)


class Recorder(httpcore.AsyncNetworkBackend):
    """Notes where a connection would go."""

    def __init__(self) -> None:
        self.to: list[str] = []

    async def connect_tcp(self, host: str, *_more: Any, **_named: Any) -> httpcore.AsyncNetworkStream:
        self.to.append(host)
        raise httpcore.ConnectError("recorded")


def recorded(transport: PublicTransport) -> Recorder:
    recorder = Recorder()
    transport._pool._network_backend._inner = recorder  # type: ignore[attr-defined]
    return recorder


async def test_a_name_that_changes_its_mind_gains_nothing() -> None:
    """Rebinding: good when it is looked at, bad when it is connected to. There is only one look."""
    resolver = Resolver(["93.184.216.34"], ["127.0.0.1"])
    transport = PublicTransport(resolve=resolver)
    recorder = recorded(transport)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        with pytest.raises(httpx.ConnectError, match="recorded"):
            await client.get("http://rebind.example/")
        assert (recorder.to, resolver.asked) == (["93.184.216.34"], 1)
        with pytest.raises(AddressRefused, match=r"127\.0\.0\.1"):
            await client.get("http://rebind.example/")
    assert recorder.to == ["93.184.216.34"]


async def test_every_address_is_tried_in_turn() -> None:
    transport = PublicTransport(resolve=Resolver(["8.8.8.8", "1.1.1.1"]))
    recorder = recorded(transport)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        with pytest.raises(httpx.ConnectError):
            await client.get("https://two.example/")
    assert recorder.to == ["8.8.8.8", "1.1.1.1"]


# --- real servers of this machine ---------------------------------------------------------------------------


class Home:
    """A server that no stranger may reach, and what reached it."""

    def __init__(self) -> None:
        self.port = 0
        self.reached: list[bytes] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached.append(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret")
        await writer.drain()
        writer.close()


@pytest.fixture
async def home() -> AsyncIterator[Home]:
    home = Home()
    async with await asyncio.start_server(home.answer, "127.0.0.1", 0) as server:
        home.port = server.sockets[0].getsockname()[1]
        yield home


WAYS = (
    *("127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001"),
    *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "0", "0.0.0.0", "127.0.0.1."),
    *("good.example@127.0.0.1", "user:pass@127.0.0.1", "127。0。0。1", "①②⑦.0.0.1", "LOCALHOST", "localhost."),
)


@pytest.mark.parametrize("way", WAYS)
async def test_no_spelling_of_this_machine_reaches_it(home: Home, way: str) -> None:
    async with httpx.AsyncClient(transport=PublicTransport(), trust_env=False, timeout=5) as client:
        with pytest.raises((httpx.HTTPError, httpx.InvalidURL, UnicodeError)):
            await client.get(f"http://{way}:{home.port}/")
    assert home.reached == []


async def test_proxies_of_the_environment_are_not_asked(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{home.port}")
    monkeypatch.setattr("node.public_network.system_addresses", Resolver(["127.0.0.1"]))
    manifests = Manifests()
    assert await manifests.compressed_bytes("registry.example/x") is None
    await manifests.aclose()
    assert home.reached == []


async def test_what_the_operator_exempts_is_reached(home: Home) -> None:
    exempt = exempt_registries([f"127.0.0.1:{home.port}"])
    async with httpx.AsyncClient(transport=PublicTransport(exempt=exempt), trust_env=False) as client:
        assert (await client.get(f"http://127.0.0.1:{home.port}/x")).text == "secret"
        with pytest.raises(AddressRefused):
            await client.get(f"http://localhost:{home.port}/x")
    assert home.reached == [b"GET /x HTTP/1.1\r\n"]


async def test_a_poster_cannot_point_the_manifest_at_this_machine(home: Home) -> None:
    manifests = Manifests()
    for host in (f"127.0.0.1:{home.port}", f"localhost:{home.port}", f"169.254.169.254:{home.port}"):
        assert await manifests.compressed_bytes(f"{host}/x") is None
    await manifests.aclose()
    assert home.reached == []


# --- registries ---------------------------------------------------------------------------------------------


async def test_images_of_private_registries_are_refused() -> None:
    origins = Origins(exempt_registries(["nas.lan:5000", "trusted.lan"]), Resolver(["192.168.1.9"]))
    for image in ("192.168.1.9:5000/x", "router.lan/x:1", "nas.lan/x", "nas.lan:5001/x"):
        assert "192.168.1.9" in await origins.trouble([image]), image
    assert await origins.trouble(["nas.lan:5000/x", "trusted.lan/y", "trusted.lan:444/z"]) == ""
    assert "router.lan" in await origins.trouble(["trusted.lan/y", "router.lan/x"])


async def test_public_and_unknown_registries_pass() -> None:
    assert await Origins(exempt_registries([]), Resolver(["8.8.8.8"])).trouble(["busybox", "ghcr.io/a/b:1"]) == ""

    async def broken(_host: str, _port: int) -> Sequence[str]:
        raise OSError("no network")

    assert await Origins(exempt_registries([]), broken).trouble(["busybox"]) == ""


async def test_a_localnet_has_its_own_registries() -> None:
    exempt = either(exempt_registries([]), local_registries)
    origins = Origins(exempt, Resolver(["127.0.0.1"]))
    assert await origins.trouble(["127.0.0.1:5000/x", "localhost:5000/x"]) == ""
    assert "127.0.0.1" in await origins.trouble(["evil.example/x"])
