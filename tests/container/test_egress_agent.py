"""The whole agent behind its packet filter: chain, market, agent and engine in the host of the home network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.container import topology as map_
from tests.container.topology import Topology, topology
from tests.e2e import images

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("GPUNODE_")}
PATIENCE = 60.0
UNPRIVILEGED = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")


class HomeAgent:
    """A localnet and a host's settings, in the host's namespace."""

    def __init__(self, place: Topology, folder: Path, chain: dict[str, Any]) -> None:
        self.place = place
        self.folder = folder
        self.chain = chain
        self.log = folder / "agent.log"
        made = self.gpunode(
            *("init", "--settings", str(folder / "node.yaml"), "--country", "NL", "--market", chain["market"]),
            *("--rpc", chain["rpc_url"], "--content", chain["content_url"]),
            *("--wallet", str(folder / "host.json"), "--data", str(folder / "data")),
        )
        assert made["packet_filter"] == "required"
        self.node = made["address"]
        self.gpunode("localnet", "faucet", self.node, "--sol", "1", "--rpc", chain["rpc_url"])
        settings = folder / "node.yaml"
        more = {
            "engine": {"socket": str(place.socket), "stop_grace": 1},
            "limits": {"disk_free": "100 MiB", "memory": "256 MiB", "shm": "64 MiB"},
        }
        text = "".join(f"{section}: {json.dumps(values)}\n" for section, values in more.items())
        settings.write_text(settings.read_text() + text)

    def command(self, *words: str, prefix: tuple[str, ...] = ()) -> list[str]:
        """The command line of `gpunode` in the host's namespace."""
        return self.place.host.command(*prefix, sys.executable, "-m", "node.cli", *words)

    def gpunode(self, *words: str) -> dict[str, Any]:
        """One command to its end; its JSON."""
        line = self.command(*words, "--json")
        done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    @contextmanager
    def running(self, prefix: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[bytes]]:
        """The agent, killed at the end."""
        line = self.command("run", "--settings", str(self.folder / "node.yaml"), prefix=prefix)
        with self.log.open("ab") as log, subprocess.Popen(line, stderr=log, cwd=ROOT, env=ENVIRONMENT) as process:
            try:
                yield process
            finally:
                process.kill()

    def lane(self) -> dict[str, Any]:
        """The lane as the agent tells it; nothing while it does not answer."""
        line = self.command("status", "--settings", str(self.folder / "node.yaml"), "--json")
        done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, check=False)
        known: dict[str, Any] = json.loads(done.stdout or "{}")
        lanes = known.get("lanes") or [{}]
        return dict(lanes[0]) if known.get("running", True) else {}

    def until(self, what: str, condition: Callable[[], object]) -> None:
        """Wait until it is so."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"not {what}: {self.lane()}; {self.log.read_text()[-1500:]}"
            time.sleep(0.3)

    def has_table(self) -> bool:
        """Whether the packet filter is there."""
        return "table inet gpunode\n" in self.place.host.run("nft", "list", "tables")


@pytest.fixture(scope="module")
def agent() -> Iterator[HomeAgent]:
    with tempfile.TemporaryDirectory(prefix="gpn", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        try:
            with topology(folder) as place, _localnet(place, folder) as chain:
                yield HomeAgent(place, folder, chain)
        except images.NoEngine as error:
            pytest.skip(str(error))


@contextmanager
def _localnet(place: Topology, folder: Path) -> Iterator[dict[str, Any]]:
    words = ("localnet", "start", "--rpc-port", "0", "--content-port", "0", "--keys", str(folder / "keys"), "--json")
    line = place.host.command(sys.executable, "-m", "node.cli", *words)
    with (folder / "chain.log").open("wb") as log:
        process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=log, cwd=ROOT, env=ENVIRONMENT)
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


@pytest.mark.long
def test_an_agent_that_may_not_see_to_it_does_not_queue(agent: HomeAgent) -> None:
    with agent.running(prefix=UNPRIVILEGED):
        agent.until("degraded", lambda: agent.lane().get("phase") == "degraded")
        assert "may not see or change the packet filter" in agent.lane()["reason"]
        time.sleep(2.0)
        assert agent.lane()["phase"] == "degraded"
    assert not agent.has_table()
    market = agent.gpunode("market", "show", agent.chain["market"], "--rpc", agent.chain["rpc_url"])
    assert agent.node not in json.dumps(market.get("queue", []))


def test_the_filter_is_there_before_the_queue_and_for_as_long_as_jobs_are(agent: HomeAgent) -> None:
    with agent.running() as process:
        agent.until("queued", lambda: agent.lane().get("phase") == "queued")
        assert agent.has_table()
        agent.place.host.run("nft", "delete", "table", "inet", "gpunode")
        agent.until("mended", agent.has_table)
        agent.until("said", lambda: "is not loaded: loaded it" in agent.log.read_text())

        run = _post(agent, f"echo knock | nc -w 2 {map_.HOME_SERVER} 4444; echo hi | nc -w 2 {map_.WEB_SERVER} 4444")
        (operation,) = run["operations"]
        assert operation["status"] == "success"
        assert operation["network"]["sent"] > 100
        assert agent.place.outsiders() == []
        assert "hi\n" in [visit["said"] for visit in agent.place.internet.visitors()]
        process.kill()
        process.wait()
    assert agent.has_table()


def _post(agent: HomeAgent, script: str) -> dict[str, Any]:
    """A job of that script, from posting to pay; its run as the host knows it."""
    arguments = {"image": agent.place.shell_image(), "cmd": f"{script}; true"}
    operation = {"type": "container/run", "id": "op", "args": arguments}
    file = agent.folder / "job.json"
    file.write_text(json.dumps({"version": "0.1", "type": "container", "meta": {"trigger": "cli"}, "ops": [operation]}))
    posted = agent.gpunode(
        *("job", "post", str(file), "--market", agent.chain["market"], "--timeout", "120"),
        *("--wallet", agent.chain["keys"]["poster"]["path"], "--rpc", agent.chain["rpc_url"]),
        *("--content", agent.chain["content_url"], "--cluster", "localnet"),
    )
    show = ("jobs", "show", posted["job"], "--settings", str(agent.folder / "node.yaml"))

    def is_settled() -> bool:
        line = agent.command(*show, "--json")
        done = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, check=False)
        return done.returncode == 0 and json.loads(done.stdout)["runs"][0]["settlement"] is not None

    agent.until("settled", is_settled)
    found: dict[str, Any] = agent.gpunode(*show)["runs"][0]
    return found
