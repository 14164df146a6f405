"""What a job's packets reach, for real: an engine, a home and an internet in network namespaces of their own.

Every attack is tried without the packet filter first, where it must succeed: what is then stopped was stopped by it.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import docker
import pytest

from node.container.profile import network_request
from node.records import Egress
from tests.container import topology as map_
from tests.container.scene import AT_HOME, Scene, knock

pytestmark = pytest.mark.docker


def test_a_job_reaches_the_internet_and_nothing_at_home(scene: Scene) -> None:
    script = f"G=$(ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')\n{knock(*AT_HOME, map_.WEB_SERVER, '$G')}"
    _, unfiltered = scene.job(script)
    assert unfiltered.count("you are in home") >= len(AT_HOME) - 3, unfiltered
    assert unfiltered.count("you are in host") >= 3, unfiltered
    visits = scene.place.outsiders()
    assert {visit["how"] for visit in visits} == {"tcp", "dns"}
    assert {visit["to"] for visit in visits} >= set(AT_HOME)

    assert scene.gpunode("firewall", "install")["loaded"]
    for space in (scene.place.host, scene.place.home, scene.place.internet):
        space.forget_visitors()
    _, filtered = scene.job(script)
    assert f"tcp {map_.WEB_SERVER} you are in internet" in filtered
    assert "home" not in filtered
    assert "host" not in filtered
    assert scene.place.outsiders() == []
    assert {visit["how"] for visit in scene.place.internet.visitors()} == {"tcp", "dns"}


@pytest.mark.long
def test_names_come_from_public_resolvers_and_lead_nowhere_else(scene: Scene) -> None:
    """DNS works without the LAN; the LAN's own names and the host's search domain stay unknown; rebinding fails."""
    scene.gpunode("firewall", "install")
    ask = "nslookup -type=a"
    _, said = scene.job(
        f"cat /etc/resolv.conf; {ask} web.example; {ask} nas; {ask} nas.home.test; {ask} rebind.example; "
        f"{ask} nas.home.test {map_.ROUTER}; {knock(map_.HOME_SERVER)}"
    )
    assert "search" not in said
    assert map_.SEARCH_DOMAIN not in said.partition("Server:")[0]
    assert "timeout:7" not in said
    assert f"Address: {map_.WEB_SERVER}" in said
    assert map_.HOME_SERVER not in said.partition("rebind")[0]
    assert "can't find nas.home.test" in said, said
    assert f"Address: {map_.HOME_SERVER}" in said  # rebind.example: the name leads home, the packets do not
    assert scene.place.outsiders() == []
    asked = {visit["to"] for visit in scene.place.internet.visitors() if visit["how"] == "dns"}
    assert asked
    assert asked <= set(map_.RESOLVERS)


def test_jobs_do_not_meet_and_one_jobs_containers_do(scene: Scene) -> None:
    listen = "nc -ll -p 4444 -e echo you are in a job"
    other, _ = scene.job(listen, wait=False)
    own, _ = scene.job(listen, wait=False)
    time.sleep(0.5)
    # The engine has rules of its own against the first; only ours are under test.
    scene.place.host.run("iptables", "-F", "DOCKER-ISOLATION-STAGE-1")
    addresses = (scene.address(other), scene.address(own))
    script = knock(*addresses)
    _, before = scene.job(script, network=scene.network_of(own))
    assert before.count("you are in a job") == 2, before
    scene.gpunode("firewall", "install")
    _, after = scene.job(script, network=scene.network_of(own))
    assert f"tcp {addresses[1]} you are in a job" in after
    assert f"tcp {addresses[0]} \n" in after.replace(f"tcp {addresses[0]}\n", f"tcp {addresses[0]} \n")
    # The host's own probes reach both.
    for address in addresses:
        assert "in a job" in scene.place.host.run("sh", "-c", f"echo probe | busybox nc -w 2 {address} 4444 || true")


@pytest.mark.long
@pytest.mark.parametrize("egress", list(Egress))
def test_operations_of_a_job_find_each_other_by_name(scene: Scene, egress: Egress) -> None:
    """By the engine's own name service, which the job's resolvers (here of the internet) know nothing of."""
    scene.gpunode("firewall", "install")
    server, _ = scene.job("nc -ll -p 4444 -e echo you are in a job", egress=egress, wait=False)
    name = scene.client.inspect_container(server)["Name"].removeprefix("/")
    find = f"$(nslookup -type=a {name} | awk '/^Address/ {{a=$2}} END {{print a}}')"
    _, said = scene.job(f"echo $(nc -w 2 {find} 4444 </dev/null)", egress=egress, network=scene.network_of(server))
    assert said == "you are in a job\n"


@pytest.mark.long
def test_a_port_that_the_host_publishes(scene: Scene) -> None:
    """The engine redirects it before any filter sees the packet: judged by where it was sent in the first place."""
    service = scene.client.create_container(
        scene.image,
        ["sh", "-c", "nc -ll -p 4000 -e echo you are in a service"],
        host_config=scene.client.create_host_config(port_bindings={4000: 4001}),
        ports=[4000],
    )["Id"]
    scene.client.start(service)
    time.sleep(0.5)
    inside = scene.client.inspect_container(service)["NetworkSettings"]["IPAddress"]
    # No rule of the engine's keeps networks apart here.
    scene.place.host.run("iptables", "-F", "DOCKER-ISOLATION-STAGE-1")
    script = "\n".join((knock(map_.HOST_ADDRESS, map_.PUBLIC_HOST, "172.17.0.1", port=4001), knock(inside, port=4000)))
    _, before = scene.job(script)
    assert before.count("you are in a service") >= 3, before
    scene.gpunode("firewall", "install")
    _, after = scene.job(script)
    assert "service" not in after
    seen = scene.place.home.run("sh", "-c", f"echo x | busybox nc -w 2 {map_.HOST_ADDRESS} 4001 || true")
    assert "you are in a service" in seen  # others are served as before


@pytest.mark.long
def test_what_was_connected_before_is_cut(scene: Scene) -> None:
    """A connection made while the table was away is judged again with every packet."""
    heard = scene.folder / "heard"
    with heard.open("wb") as output:
        listen = scene.place.home.command("busybox", "nc", "-l", "-p", "4600")
        with subprocess.Popen(listen, stdin=subprocess.PIPE, stdout=output) as listener:
            try:
                scene.job(f"(echo early; sleep 5; echo late; sleep 25) | nc {map_.HOME_SERVER} 4600", wait=False)
                assert _hears(heard, "early", 10.0)
                scene.gpunode("firewall", "install")
                assert not _hears(heard, "late", 6.0)
                scene.gpunode("firewall", "remove", "--force")
                # It was said all the time, and arrives as soon as it may.
                assert _hears(heard, "late", 20.0)
            finally:
                listener.kill()


def _hears(file: Path, word: str, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while word not in file.read_text() and time.monotonic() < until:
        time.sleep(0.1)
    return word in file.read_text()


def test_nobody_comes_in_from_the_lan(scene: Scene) -> None:
    """A neighbour can send packets for a job's network to the host; they end there."""
    made, _ = scene.job("nc -ll -p 4444 -e echo you are in a job", wait=False)
    time.sleep(0.5)
    address = scene.address(made)
    home = scene.place.home
    home.run("ip", "route", "replace", "172.16.0.0/12", "via", map_.HOST_ADDRESS)
    try:
        assert "in a job" in home.run("sh", "-c", f"echo x | busybox nc -w 2 {address} 4444 || true")
        scene.gpunode("firewall", "install")
        assert "in a job" not in home.run("sh", "-c", f"echo x | busybox nc -w 2 {address} 4444 || true")
    finally:
        home.run("ip", "route", "delete", "172.16.0.0/12")


@pytest.mark.long
def test_ipv6_is_closed_wherever_it_comes_from(scene: Scene) -> None:
    """Jobs' networks have none. Were there one all the same, a home's devices would have global addresses on it."""
    host = scene.place.host
    host.run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
    network = {
        **network_request("gpn6aaaaaaaaaaa", {}),
        "enable_ipv6": True,
        "ipam": docker.types.IPAMConfig(pool_configs=[docker.types.IPAMPool(subnet="2a00:88::/64")]),
    }
    scene.client.create_network(**network)
    scene.place.home.run("ip", "-6", "route", "replace", "2a00:88::/64", "via", map_.HOST6)
    script = "sleep 2; " + knock(map_.HOME6_GLOBAL, map_.HOME6, map_.HOST6, "2a00:77::2")
    _, before = scene.job(script, network="gpn6aaaaaaaaaaa")
    assert before.count("you are in home") == 2, before
    assert before.count("you are in host") == 2, before
    scene.gpunode("firewall", "install")
    scene.place.home.forget_visitors()
    scene.place.host.forget_visitors()
    _, after = scene.job(script, network="gpn6aaaaaaaaaaa")
    assert "you are" not in after
    assert scene.place.outsiders() == []


@pytest.mark.long
def test_no_way_out_at_all(scene: Scene) -> None:
    scene.gpunode("firewall", "install")
    made, _ = scene.job(
        f"{knock(map_.WEB_SERVER, *AT_HOME)}; timeout 4 nslookup -type=a web.example; "
        "echo you are in a job | nc -l -p 4444",
        egress=Egress.NONE,
        wait=False,
    )
    said = ""
    until = time.monotonic() + 20
    while "in a job" not in said and time.monotonic() < until:
        said = scene.place.host.run("sh", "-c", f"echo probe | busybox nc -w 1 {scene.address(made)} 4444 || true")
    assert "in a job" in said  # the host's probe is answered
    scene.client.wait(made, timeout=30)
    assert "you are in" not in scene.client.logs(made).decode()
    assert scene.place.outsiders() == []
    assert scene.place.internet.visitors() == []


@pytest.mark.long
def test_no_way_out_by_the_packet_filter_alone(scene: Scene) -> None:
    """The engine's `internal` is one wall, the bridge's name another."""
    scene.gpunode("firewall", "install")
    name = "gpn0123456789ab"
    request = network_request(name, {}, Egress.NONE) | {"internal": False}
    scene.client.create_network(**request)
    _, said = scene.job(f"{knock(map_.WEB_SERVER)}; timeout 4 nslookup -type=a web.example", network=name)
    assert "you are in" not in said
    # No name was asked for either: the engine asks in the job's network, not in the host's.
    assert scene.place.internet.visitors() == []


@pytest.mark.long
def test_listed_places_only(scene: Scene) -> None:
    allow = ["1.1.1.1:80", f"{map_.WEB_SERVER}:4444", map_.HOME_SERVER]
    scene.gpunode("firewall", "install", network={"egress": "list", "allow": allow})
    script = "\n".join(
        (
            knock(map_.WEB_SERVER, map_.HOME_SERVER, "9.9.9.9"),
            knock(map_.WEB_SERVER, "1.1.1.1", port=80),
            "nslookup -type=a web.example",
        )
    )
    _, said = scene.job(script, egress=Egress.LIST)
    assert said.count("you are in internet") == 2, said
    assert f"Address: {map_.WEB_SERVER}" in said
    assert scene.place.outsiders() == []  # the list opens nothing that is closed
    came = {(visit["to"], visit["port"]) for visit in scene.place.internet.visitors() if visit["how"] == "tcp"}
    assert came == {(map_.WEB_SERVER, "4444"), ("1.1.1.1", "80")}


@pytest.mark.long
def test_listed_names(scene: Scene) -> None:
    """Their addresses are in the table while they are seen, and only public ones."""
    code = (
        "import asyncio, sys\n"
        "from node.container.egress.names import ListedNames\n"
        "from node.retry import SystemClock\n"
        "async def find(name):\n"
        "    if name == 'gone.example': raise OSError('no such name')\n"
        f"    return ['{map_.WEB_SERVER}', '{map_.HOME_SERVER}']\n"
        "names = ListedNames([('web.example', 4444), ('gone.example', None)], SystemClock(), resolve=find)\n"
        "asyncio.run(names.refresh()); asyncio.run(names.refresh())\n"
    )
    listed = {"egress": "list", "allow": ["web.example:4444"]}
    scene.gpunode("firewall", "install", network=listed)
    script = f"{knock(map_.WEB_SERVER)}\n{knock(map_.WEB_SERVER, port=80)}"
    assert "you are" not in scene.job(script, egress=Egress.LIST)[1]
    scene.place.host.python(code)
    assert scene.job(script, egress=Egress.LIST)[1].count("you are in internet") == 1
    ports = scene.place.host.run("nft", "list", "set", "inet", "gpunode", "named_ports")
    assert map_.WEB_SERVER in ports
    assert map_.HOME_SERVER not in ports
    # What names have come to is no difference from what should be there.
    assert scene.gpunode("firewall", "check", network=listed)["presence"] == "present"


@pytest.mark.long
def test_a_network_that_the_operator_closes(scene: Scene) -> None:
    scene.gpunode("firewall", "install", network={"deny": [f"{map_.WEB_SERVER}/32"]})
    _, said = scene.job(knock(map_.WEB_SERVER, "1.1.1.1"))
    assert said.count("you are in internet") == 1


@pytest.mark.long
def test_a_job_that_opens_connections_without_end(scene: Scene) -> None:
    """The host's table of connections is everybody's: a job gets its share, and gets it again when it has let go."""
    script = (
        f"i=0; while [ $i -lt 30 ]; do (sleep 6 | nc -w 3 {map_.WEB_SERVER} 4444 >/dev/null 2>&1) & i=$((i+1)); done; "
        f"wait; echo again $(echo again | nc -w 3 {map_.WEB_SERVER} 80 | tail -n 1)"
    )
    scene.gpunode("firewall", "install", network={"connections": 10})
    _, said = scene.job(script)
    assert "again you are in internet" in said
    assert len([visit for visit in scene.place.internet.visitors() if visit["port"] == "4444"]) == 10
    scene.place.internet.forget_visitors()
    scene.gpunode("firewall", "install")
    scene.job(script)
    assert len([visit for visit in scene.place.internet.visitors() if visit["port"] == "4444"]) == 30
