"""What a job's packets reach, for real: an engine, a home and an internet in network namespaces of their own.

Every attack is tried without the packet filter first, where it must succeed: what is then stopped was stopped by it.
"""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import pytest

from node.container.egress.bridges import bridge_name
from node.container.profile import create_request, network_request
from node.container.traits import EngineTraits
from node.journal.codec import decode
from node.records import Egress, OperationState, OperationStatus
from node.settings_network import NetworkSettings
from tests.container import topology as map_
from tests.container.operations import operation
from tests.container.topology import Topology, topology
from tests.e2e import images

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
NODE = "TestNodeEgress"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GPUNODE_")}


@pytest.fixture(scope="module")
def home_network() -> Iterator[Topology]:
    with tempfile.TemporaryDirectory(prefix="gpn", ignore_cleanup_errors=True) as name:
        try:
            with topology(Path(name)) as found:
                yield found
        except images.NoEngine as error:
            pytest.skip(str(error))


@dataclass(frozen=True)
class Scene:
    """The home network as one test begins with it: no packet filter, no visitors, no jobs."""

    place: Topology
    client: docker.APIClient
    image: str
    folder: Path

    def gpunode(self, *words: str, status: int = 0, network: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run a command in the host's namespace; its JSON."""
        line = self.place.host.command(sys.executable, "-m", "node.cli", *words, "--json", *self.settings(network))
        done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, check=False)
        assert done.returncode == status, done.stderr + done.stdout
        answer: dict[str, Any] = json.loads(done.stdout or done.stderr)
        return answer

    def settings(self, network: dict[str, Any] | None) -> tuple[str, str]:
        """`--settings` and a file of those."""
        file = self.folder / "node.yaml"
        lane = {"wallet": "w.json", "market": "11111111111111111111111111111111"}
        tree = {"cluster": "localnet", "host": {"country": "NL"}, "lanes": [lane], "network": network or {}}
        file.write_text(json.dumps(tree | {"network": {"filter": "required"} | (network or {})}))
        return "--settings", str(file)

    def job(
        self, script: str, *, egress: Egress = Egress.OPEN, network: str = "", wait: bool = True
    ) -> tuple[str, str]:
        """A container as the agent makes it; its id, and what it wrote where it is waited for."""
        spec = operation(self.image, NODE, script, egress=egress, resolvers=map_.RESOLVERS).container
        spec = replace(spec, network=network or spec.network)
        if not self.client.networks(names=[spec.network]):
            self.client.create_network(**network_request(spec.network, dict(spec.labels), egress))
        made = self.client.create_container_from_config(create_request(spec, EngineTraits()), spec.name)["Id"]
        self.client.start(made)
        if wait:
            self.client.wait(made, timeout=60)
        return made, self.client.logs(made).decode() if wait else ""

    def address(self, container: str) -> str:
        """Of a container on its one network."""
        (network,) = self.client.inspect_container(container)["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    def network_of(self, container: str) -> str:
        """The name of a container's one network."""
        (name,) = self.client.inspect_container(container)["NetworkSettings"]["Networks"]
        return str(name)

    def clear(self) -> None:
        """Remove all containers and networks that tests have made."""
        for row in self.client.containers(all=True):
            self.client.remove_container(row["Id"], force=True, v=True)
        for network in self.client.networks():
            if network["Name"].startswith("gpn"):
                self.client.remove_network(network["Id"])


@pytest.fixture
def scene(home_network: Topology, tmp_path: Path) -> Iterator[Scene]:
    client = home_network.client()
    scene = Scene(home_network, client, home_network.shell_image(), tmp_path)
    home_network.host.run("nft", "delete", "table", "inet", "gpunode", check=False)
    for space in (home_network.host, home_network.home, home_network.internet):
        space.forget_visitors()
    yield scene
    scene.clear()
    client.close()


def knock(*addresses: str, port: int = 4444) -> str:
    """A script that tries to say something to each address over TCP, asks it for a name over UDP, and prints who
    answers."""
    tries = [
        f"(echo tcp {address} $(echo knock | busybox nc -w 2 {address} {port} 2>/dev/null | tail -n 1)) &\n"
        f"(timeout 2 nslookup -type=a knock.example {address} >/dev/null 2>&1) &"
        for address in addresses
    ]
    return "\n".join([*tries, "wait"])


AT_HOME = (
    map_.HOME_SERVER,
    map_.ROUTER,
    map_.HOST_ADDRESS,
    map_.PUBLIC_NEIGHBOUR,
    map_.PUBLIC_HOST,
    *map_.METADATA,
    "172.17.0.1",
)


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


def test_a_network_that_the_operator_closes(scene: Scene) -> None:
    scene.gpunode("firewall", "install", network={"deny": [f"{map_.WEB_SERVER}/32"]})
    _, said = scene.job(knock(map_.WEB_SERVER, "1.1.1.1"))
    assert said.count("you are in internet") == 1


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


def test_it_outlives_its_maker(scene: Scene) -> None:
    """Whoever loaded it is killed; it stays."""
    code = (
        "import asyncio, os, signal\n"
        "from node.container.egress.fitting import network_guard\n"
        "from node.retry import SystemClock\n"
        "from node.settings_network import NetworkSettings\n"
        "asyncio.run(network_guard(NetworkSettings(), SystemClock()).ensure())\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    line = scene.place.host.command(sys.executable, "-c", code)
    assert subprocess.run(line, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert scene.gpunode("firewall", "check")["presence"] == "present"
    _, said = scene.job(knock(*AT_HOME))
    assert "you are in" not in said
    assert scene.place.outsiders() == []


@pytest.mark.parametrize(
    ("change", "presence", "detail"),
    [
        ("delete table inet gpunode", "missing", ""),
        ("flush ruleset", "missing", ""),
        ("insert rule inet gpunode from_job accept", "different", "added: accept"),
        ("add rule inet gpunode to_host accept", "different", "added: accept"),
        ("flush chain inet gpunode to_host", "different", "missing: "),
        ("add table inet gpunode { flags dormant; }", "different", "added: flags dormant"),
        ("add chain inet gpunode input { policy drop; }", "different", "policy"),
        (
            "add table ip other; add chain ip other out { type filter hook forward priority -20; policy accept; }",
            "",
            "",
        ),
    ],
)
def test_a_change_is_noticed_and_mended(scene: Scene, change: str, presence: str, detail: str) -> None:
    scene.gpunode("firewall", "install")
    rules = scene.place.host.run("nft", "list", "ruleset")
    scene.place.host.run("nft", change)
    try:
        known = scene.gpunode("firewall", "check", status=3 if presence else 0)
        assert known["presence"] == (presence or "present")
        assert detail in known["detail"]
        mended = scene.gpunode("firewall", "install")
        assert mended["loaded"] is bool(presence)
        assert scene.gpunode("firewall", "check")["presence"] == "present"
        tables = scene.place.host.run("nft", "list", "tables")
        assert "twin" not in tables
        assert ("table ip nat" in tables) is (change != "flush ruleset")  # others' tables are theirs
    finally:
        if change == "flush ruleset":
            scene.place.host.filter("\n".join(_without_ours(rules)))
        scene.place.host.run("nft", "delete", "table", "ip", "other", check=False)


def _without_ours(rules: str) -> list[str]:
    """The ruleset less our own table."""
    kept, skipping = [], False
    for line in rules.splitlines():
        skipping = skipping or line.startswith("table inet gpunode")
        if not skipping:
            kept.append(line)
        skipping = skipping and line != "}"
    return kept


def test_other_settings_are_loaded_in_place_of_the_old_ones(scene: Scene) -> None:
    assert scene.gpunode("firewall", "install")["before"] == "missing"
    assert scene.gpunode("firewall", "install")["loaded"] is False
    other = {"deny": ["5.5.5.0/24"]}
    assert scene.gpunode("firewall", "check", status=3, network=other)["presence"] == "different"
    assert scene.gpunode("firewall", "install", network=other)["before"] == "different"
    assert "5.5.5.0/24" in scene.place.host.run("nft", "list", "table", "inet", "gpunode")


def test_it_is_not_taken_away_under_a_job(scene: Scene) -> None:
    scene.gpunode("firewall", "install")
    made, _ = scene.job("sleep 60", wait=False)
    bridge = bridge_name(scene.network_of(made), Egress.OPEN)
    assert scene.gpunode("firewall", "check")["jobs"] == [bridge]
    assert bridge in scene.gpunode("firewall", "remove", status=1)["error"]["message"]
    assert scene.gpunode("firewall", "remove", "--force")["removed"]
    scene.clear()
    assert scene.gpunode("firewall", "remove")["removed"] is False


def test_without_the_right_to_see_it(scene: Scene) -> None:
    """Not seen is not there: the reason and what to do are named."""
    line = scene.place.host.command("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    program = (sys.executable, "-m", "node.cli", "firewall", "check", "--json")
    done = subprocess.run([*line, *program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    error = json.loads(done.stderr or done.stdout)["error"]
    assert "may not see" in error["message"]
    assert "CAP_NET_ADMIN" in error["hint"]


def _fenced(scene: Scene, script: str, network: NetworkSettings, space: list[str]) -> OperationState:
    op = operation(scene.image, NODE, script, egress=network.egress, resolvers=network.resolvers)
    (scene.folder / "operation").write_bytes(pickle.dumps(op))
    (scene.folder / "network").write_text(network.model_dump_json())
    line = [*space, sys.executable, "-m", "tests.container.fenced_life", str(scene.folder), str(scene.place.socket)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=90, check=False)
    assert done.returncode == 0, done.stderr
    return decode(done.stdout.strip(), OperationState)


def test_an_operation_loads_the_filter_and_is_counted(scene: Scene) -> None:
    """The whole runner in the host's network: no container starts before the table is there."""
    script = f"head -c 300000 /dev/zero | busybox nc -w 3 {map_.WEB_SERVER} 4444; {knock(map_.HOME_SERVER)}"
    state = _fenced(scene, script, NetworkSettings(), scene.place.host.command())
    assert state.status is OperationStatus.SUCCESS, state
    assert state.network is not None
    assert 300_000 < state.network.sent < 400_000
    assert 100 < state.network.received < 100_000
    assert scene.place.outsiders() == []
    assert scene.gpunode("firewall", "check")["presence"] == "present"


def test_an_engine_out_of_the_filters_sight(scene: Scene) -> None:
    """Its bridges are in another network than the filter: nothing runs."""
    other = f"{scene.place.host.name}-x"
    subprocess.run(("ip", "netns", "add", other), check=True)
    try:
        space = ["nsenter", f"--net=/run/netns/{other}"]
        state = _fenced(scene, knock(map_.HOME_SERVER), NetworkSettings(), space)
    finally:
        subprocess.run(("ip", "netns", "delete", other), check=True)
    assert state.status is OperationStatus.FAILED
    assert "the packet filter does not see it" in state.errors[0].message
    assert state.starts == 0
    assert scene.place.outsiders() == []
