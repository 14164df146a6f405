"""What the tests of the packet filter share: the home network as one test begins with it, and jobs in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import pytest

from node.container.profile import create_request, network_request
from node.container.traits import EngineTraits
from node.records import Egress
from tests.container import topology as map_
from tests.container.operations import operation
from tests.container.topology import Topology, topology
from tests.e2e import images

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
