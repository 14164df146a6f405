"""Jobs that look for the home they run in: judged by who came to the home's own servers."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from node.records import Egress
from node.settings_network import NetworkSettings
from tests.container import topology
from tests.container.topology import Topology
from tests.hostile.arena import Arena, Attack

pytestmark = [pytest.mark.docker, pytest.mark.hostile]

SNIFFER = """
import socket, sys
end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
end.settimeout(float(sys.argv[2]))
print("ready", flush=True)
try:
    while True:
        if bytes.fromhex(sys.argv[1]) in end.recv(2048):
            print("seen", flush=True)
except TimeoutError:
    pass
"""
CALL = "import socket, sys; socket.create_connection((sys.argv[1], 80), 5).close(); print('connected')"
FORGED = "198.51.100.77"


@pytest.fixture
def home(town: Topology | None) -> Topology:
    """The home network, with its visitors' books begun anew."""
    if town is None:
        pytest.skip("no network namespaces here")
    for space in (town.host, town.home, town.internet):
        space.forget_visitors()
    return town


@pytest.mark.brief
async def test_lan_scan(arena: Arena, home: Topology) -> None:
    targets = [f"{topology.LAN}.{last}:{port}" for last in range(1, 120) for port in topology.PORTS]
    await _reach_only_the_internet(arena, home, targets)


@pytest.mark.brief
async def test_metadata_address(arena: Arena, home: Topology) -> None:
    await _reach_only_the_internet(arena, home, [f"{address}:80" for address in topology.METADATA])


@pytest.mark.brief
async def test_host_and_gateway(arena: Arena, home: Topology) -> None:
    hosts = (topology.HOST_ADDRESS, topology.PUBLIC_HOST, topology.PUBLIC_NEIGHBOUR, topology.ROUTER, "172.17.0.1")
    gateways = (f"172.{second}.0.1" for second in range(17, 32))
    ports = (*topology.PORTS, 22, 2375, 2376)
    await _reach_only_the_internet(arena, home, [f"{host}:{port}" for host in (*hosts, *gateways) for port in ports])


async def test_gateway_by_the_names_of_other_engines(arena: Arena, home: Topology) -> None:
    names = ("host.docker.internal", "host.containers.internal", "gateway.docker.internal", "localhost")
    script = ";".join(f"wget -T 2 -O - http://{name}:80/ | cat" for name in names)
    attack = await arena.fight(command=("/bin/sh", "-c", script), resolvers=topology.RESOLVERS)
    assert home.outsiders() == []
    assert "you are in h" not in attack.said()


async def test_port_that_the_host_publishes(arena: Arena, home: Topology) -> None:
    """Another container of the host's owner, published on all its addresses by the engine's own rules."""
    token = secrets.token_hex(8)
    with _published(arena) as (name, port):
        hosts = (topology.HOST_ADDRESS, topology.PUBLIC_HOST, "172.17.0.1", "172.17.0.2")
        attack = await arena.fight("connect", token, *(f"{host}:{at}" for host in hosts for at in (port, 4444)))
        assert token.encode() not in arena.client.logs(name)
        assert "reached 0" in attack.said()
        home.host.python(CALL.replace("80", str(port)), "127.0.0.1")


@pytest.mark.brief
async def test_dns_rebinding(arena: Arena, home: Topology) -> None:
    """A public name that leads home: the name is found, what it leads to is not reached."""
    found = "$(nslookup {} 9.9.9.9 | awk '/^Address/ {{a=$NF}} END {{print a}}'):80"
    script = f"/bin/attack connect token {found.format('rebind.example')} {found.format('metadata.example')}"
    attack = await arena.fight(command=("/bin/sh", "-c", script), resolvers=topology.RESOLVERS)
    assert home.outsiders() == []
    assert [visit for visit in home.internet.visitors() if visit["how"] == "dns" and "rebind" in visit["said"]]
    assert "reached 0 of 2" in attack.said()


@pytest.mark.brief
async def test_dns_of_the_home(arena: Arena, home: Topology) -> None:
    script = (
        f"timeout 3 nslookup nas.home.test; timeout 3 nslookup nas; timeout 2 nslookup nas.home.test {topology.ROUTER}"
    )
    attack = await arena.fight(command=("/bin/sh", "-c", script), resolvers=topology.RESOLVERS)
    assert home.outsiders() == [], "the home's resolver was asked nothing"
    assert topology.HOME_SERVER not in attack.said()


@pytest.mark.brief
async def test_network_of_another_job(arena: Arena, home: Topology) -> None:
    token = secrets.token_hex(8)
    victim_op = {"command": ("/bin/sh", "-c", "nc -l -p 4444 & nc -l -u -p 4444 & sleep 6"), "aliases": ("victim",)}
    async with arena.fighting(**victim_op) as victim:
        (network,) = arena.client.inspect_container(victim.id)["NetworkSettings"]["Networks"].values()
        address, gateway = network["IPAddress"], network["Gateway"]
        names = f"timeout 3 nslookup victim; timeout 3 nslookup {victim.id[:12]}"
        script = f"/bin/attack connect {token} {address}:4444 {gateway}:4444; {names}"
        attack = await arena.fight(command=("/bin/sh", "-c", script), resolvers=topology.RESOLVERS)
        assert "reached 0 of 2" in attack.said()
        assert address not in attack.said().partition("reached")[2]
    assert token not in victim.said()
    assert home.outsiders() == []


async def test_raw_and_packet_sockets(arena: Arena, home: Topology) -> None:
    """Forged sources and frames: none is seen on any card of the host."""
    token = secrets.token_hex(8)
    packed = bytes(int(part) for part in FORGED.split(".")).hex()
    sniffers = [await _sniff(home, mark) for mark in (packed, token.encode().hex())]

    async def look(attack: Attack) -> None:
        await attack.until_said("family 44")

    await arena.fight("raw", token, FORGED, topology.HOME_SERVER, look=look)
    for sniffer in sniffers:
        out, _ = await sniffer.communicate()
        assert out == b""


async def test_ipv6_neighbours(arena: Arena, home: Topology) -> None:
    own = (topology.HOST6, "2a00:77::2", "::1", "ff02::1%eth0")
    places = (topology.HOME6, topology.HOME6_GLOBAL, "fd00:ec2::254", *own)
    targets = [f"[{place}]:{port}" for place in places for port in topology.PORTS]
    await _reach_only_the_internet(arena, home, targets)


async def test_flood_of_connections(arena: Arena, home: Topology) -> None:
    """Thirty thousand flows: a bounded part of the host's table is theirs, and its own connections come about."""
    before = _connections(home)

    async def look(attack: Attack) -> None:
        await attack.until_said("flows")
        assert await asyncio.to_thread(_connections, home) - before <= NetworkSettings().connections + 200
        said = await asyncio.to_thread(home.host.python, CALL, topology.HOME_SERVER)
        assert said == "connected\n"

    await arena.fight("flows", topology.WEB_SERVER, "9", "30000", "1", look=look)


async def test_flood_of_neighbours(arena: Arena, home: Topology) -> None:
    """Every address of the job's own network asked for: the host still finds neighbours of its own."""
    home.host.run("ip", "neigh", "flush", "dev", "lan0")
    script = 'set -- $(ip -4 -o addr show dev eth0); /bin/attack neighbours "${4%.*.*}.0.0" 8000 2'

    async def look(attack: Attack) -> None:
        await attack.until_said("asked")
        said = await asyncio.to_thread(home.host.python, CALL, topology.HOME_SERVER)
        assert said == "connected\n"

    await arena.fight(command=("/bin/sh", "-c", script), look=look)


async def test_no_egress_at_all(arena: Arena, home: Topology) -> None:
    targets = [f"{host}:80" for host in (topology.WEB_SERVER, topology.HOME_SERVER, topology.HOST_ADDRESS, "9.9.9.9")]
    names = "timeout 3 nslookup web.example; timeout 3 nslookup web.example 9.9.9.9"
    script = f"/bin/attack connect token {' '.join(targets)}; {names}; echo over"
    await arena.fight(command=("/bin/sh", "-c", script), egress=Egress.NONE, resolvers=topology.RESOLVERS)
    assert home.outsiders() == []
    assert home.internet.visitors() == []


async def _reach_only_the_internet(arena: Arena, home: Topology, targets: list[str]) -> None:
    token = secrets.token_hex(8)
    attack = await arena.fight("connect", token, f"{topology.WEB_SERVER}:80", *targets, resolvers=topology.RESOLVERS)
    assert home.outsiders() == []
    assert "reached 1 of" in attack.said(), "the internet, and nothing else"
    assert [visit for visit in home.internet.visitors() if visit["said"] == token]


def _connections(home: Topology) -> int:
    """Entries in the host's table of connections."""
    return int(home.host.run("cat", "/proc/sys/net/netfilter/nf_conntrack_count"))


@contextmanager
def _published(arena: Arena) -> Iterator[tuple[str, int]]:
    client = arena.client
    host_config = client.create_host_config(port_bindings={4444: ("0.0.0.0", 8088)})
    made = client.create_container(
        arena.image(), ["/bin/sh", "-c", "while true; do nc -l -p 4444; done"], ports=[4444], host_config=host_config
    )
    try:
        client.start(made)
        yield made["Id"], 8088
    finally:
        client.remove_container(made, force=True)


async def _sniff(home: Topology, mark: str) -> asyncio.subprocess.Process:
    words = home.host.command(sys.executable, "-c", SNIFFER, mark, "2.5")
    sniffer = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert sniffer.stdout is not None
    assert await sniffer.stdout.readline() == b"ready\n"
    return sniffer
