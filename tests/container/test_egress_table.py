"""The packet filter's table in a kernel: it stays, a change of it is noticed, and nothing runs without it."""

from __future__ import annotations

import json
import pickle
import signal
import subprocess
import sys

import pytest

from node.container.egress.bridges import bridge_name
from node.journal.codec import decode
from node.records import Egress, OperationState, OperationStatus
from node.settings_network import NetworkSettings
from tests.container import topology as map_
from tests.container.operations import operation
from tests.container.scene import AT_HOME, NODE, ROOT, Scene, knock

pytestmark = pytest.mark.docker


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
        pytest.param("delete table inet gpunode", "missing", "", marks=pytest.mark.long),
        ("flush ruleset", "missing", ""),
        pytest.param("insert rule inet gpunode from_job accept", "different", "added: accept", marks=pytest.mark.long),
        ("add rule inet gpunode to_host accept", "different", "added: accept"),
        pytest.param("flush chain inet gpunode to_host", "different", "missing: ", marks=pytest.mark.long),
        pytest.param(
            "add table inet gpunode { flags dormant; }", "different", "added: flags dormant", marks=pytest.mark.long
        ),
        pytest.param("add chain inet gpunode input { policy drop; }", "different", "policy", marks=pytest.mark.long),
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


@pytest.mark.long
def test_other_settings_are_loaded_in_place_of_the_old_ones(scene: Scene) -> None:
    assert scene.gpunode("firewall", "install")["before"] == "missing"
    assert scene.gpunode("firewall", "install")["loaded"] is False
    other = {"deny": ["5.5.5.0/24"]}
    assert scene.gpunode("firewall", "check", status=3, network=other)["presence"] == "different"
    assert scene.gpunode("firewall", "install", network=other)["before"] == "different"
    assert "5.5.5.0/24" in scene.place.host.run("nft", "list", "table", "inet", "gpunode")


@pytest.mark.long
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
