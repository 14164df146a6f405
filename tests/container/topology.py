"""A home network with a host in it, for real, in network namespaces that only this test has.

    internet ---- home ---- host ---- containers of its engine
    public        router,   dockerd,
    addresses     LAN       the packet filter under test

Three namespaces joined by cables (veth). `host` runs an engine of its own; the agent's parts, or whole programs, run in
it by `topology.host.run(...)` and `topology.host.command(...)`. Nothing of it touches the machine's own network or
engine. It needs root, `ip`, `nsenter` and dockerd; `topology()` raises NoEngine where one is missing, so a fixture
reads

    @pytest.fixture
    def place(...):
        with tempfile.TemporaryDirectory(prefix="gpn", ignore_cleanup_errors=True) as name:
            try:
                with topology(Path(name)) as place:
                    place.host.filter(wanted_text)      # load the packet filter, or leave that to the agent
                    yield place
            except images.NoEngine as error:
                pytest.skip(str(error))

In every namespace a witness (tests/container/witness.py) listens on the TCP and UDP ports PORTS at all addresses,
answers each caller with the namespace's name, resolves names on port 53 where it is told to, and writes down who came:
`place.home.visitors()`. So an attack can be judged by what arrived outside, not by what the job says of itself.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.e2e import images
from tests.e2e.second_engine import SecondEngine

PORTS = (80, 4444)
"""TCP and UDP ports on which every namespace listens, beside DNS on 53 at home and in the internet."""

LAN = "192.168.77"
HOST_ADDRESS = f"{LAN}.2"
ROUTER = f"{LAN}.1"
"""The home's router and resolver: the one that the host's own /etc/resolv.conf names."""
HOME_SERVER = f"{LAN}.10"
"""Something at home that must stay out of a job's reach."""
PUBLIC_NEIGHBOUR = "81.2.69.33"
"""Something at home with a public address: on the host's own cable, behind no router."""
PUBLIC_HOST = "81.2.69.34"
"""A public address of the host itself."""
RESOLVERS = ("9.9.9.9", "1.1.1.1")
WEB_SERVER = "93.184.216.34"
METADATA = ("169.254.169.254", "100.100.100.200", "168.63.129.16")
"""Addresses at which clouds hand out credentials; the home answers at them."""
HOST6 = "fd77::2"
HOME6 = "fd77::10"
HOME6_GLOBAL = "2a00:77::10"
"""A device at home with a global IPv6 address, as they all have."""

PUBLIC_NAMES = {"web.example": WEB_SERVER, "rebind.example": HOME_SERVER, "metadata.example": METADATA[0]}
"""What the public resolvers say; two of the names lead home (DNS rebinding)."""
HOME_NAMES = {"nas.home.test": HOME_SERVER, "web.example": WEB_SERVER}
"""What the home's resolver says."""
HOST_NAMES = {"host.home.test": HOST_ADDRESS}
"""What a resolver on the host itself says, such as many hosts run."""
SEARCH_DOMAIN = "home.test"

WITNESS_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Space:
    """One network namespace with its witness."""

    name: str
    role: str
    folder: Path

    def command(self, *words: str) -> list[str]:
        """The command line that runs `words` in this namespace."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *words]

    def run(self, *words: str, text: str | None = None, check: bool = True, folder: Path | None = None) -> str:
        """Run a command in it to its end; its output. Raises AssertionError where it fails and `check` is set."""
        done = subprocess.run(self.command(*words), input=text, capture_output=True, text=True, check=False, cwd=folder)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def filter(self, text: str) -> None:
        """Load rules into this namespace's packet filter."""
        self.run("nft", "-f", "-", text=text)

    def python(self, code: str, *words: str) -> str:
        """Run Python code in it, with this checkout on its path; what it prints."""
        return self.run(sys.executable, "-c", code, *words)

    def visitors(self) -> list[dict[str, str]]:
        """Who came to this namespace's witness so far: `how` (tcp, udp or dns), `peer`, `to`, `port`, `said`."""
        log = self.folder / f"{self.role}.visitors"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def forget_visitors(self) -> None:
        """Begin the list anew."""
        (self.folder / f"{self.role}.visitors").write_text("")


@dataclass(frozen=True, slots=True)
class Topology:
    """The home network, up and running."""

    host: Space
    home: Space
    internet: Space
    engine: SecondEngine

    @property
    def socket(self) -> Path:
        """The engine's socket, for node.container.docker.DockerEngine."""
        return self.engine.socket

    def client(self) -> docker.APIClient:
        """A plain client of the engine; the caller closes it."""
        return images.connect(f"unix://{self.engine.socket}")

    def shell_image(self) -> str:
        """Name of a busybox image in this engine. Of its tools `nc` (with addresses) and `nslookup` are good for use
        here; `wget` and others that look names up through the C library fail in any container without one."""
        client = self.client()
        try:
            return images.busybox_image(client)
        finally:
            client.close()

    def outsiders(self) -> list[dict[str, str]]:
        """All visits that no job may ever make: to the home, and to the host itself."""
        return [*self.home.visitors(), *self.host.visitors()]


@contextmanager
def topology(folder: Path, *, options: Sequence[str] = (), path_folder: Path | None = None) -> Iterator[Topology]:
    """All of it up; taken down again at the end. `options` are dockerd's, `path_folder` comes first on its PATH.

    Raises images.NoEngine where it cannot be.
    """
    for tool in ("ip", "nsenter", "nft", "unshare"):
        if shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            raise images.NoEngine(f"there is no `{tool}` on this machine")
    if os.geteuid() != 0:
        raise images.NoEngine("network namespaces need root")
    mark = secrets.token_hex(3)
    host, home, internet = (Space(f"gpunode-{role}-{mark}", role, folder) for role in ("host", "home", "internet"))
    with ExitStack() as stack:
        for space in (host, home, internet):
            _ip("netns", "add", space.name)
            stack.callback(_delete, space)
        _lay_cables(host, home, internet)
        _start_witness(stack, host, HOST_NAMES)
        _start_witness(stack, home, HOME_NAMES)
        _start_witness(stack, internet, PUBLIC_NAMES)
        engine = SecondEngine(folder, path_folder, options, space=host.name, wrapper=_own_resolver(folder))
        stack.callback(engine.clear)
        engine.start()
        yield Topology(host, home, internet, engine)


def _lay_cables(host: Space, home: Space, internet: Space) -> None:
    mark = host.name.rpartition("-")[2]
    _cable(host, "lan0", home, "lan0", f"h{mark}")
    _cable(home, "wan0", internet, "wan0", f"w{mark}")
    for space in (host, home, internet):
        _ip("-n", space.name, "link", "set", "lo", "up")
    _address(host, "lan0", f"{HOST_ADDRESS}/24", f"{PUBLIC_HOST}/28", f"{HOST6}/64", "2a00:77::2/64")
    _address(home, "lan0", f"{ROUTER}/24", f"{HOME_SERVER}/24", f"{PUBLIC_NEIGHBOUR}/28", f"{HOME6}/64")
    _address(home, "lan0", f"{HOME6_GLOBAL}/64", *(f"{address}/32" for address in METADATA), "fd00:ec2::254/128")
    _address(home, "wan0", "80.1.1.1/30")
    _address(internet, "wan0", "80.1.1.2/30")
    _address(internet, "lo", *(f"{address}/32" for address in (*RESOLVERS, WEB_SERVER)), "2a00:99::1/128")
    _ip("-n", host.name, "route", "add", "default", "via", ROUTER)
    _ip("-n", host.name, "-6", "route", "add", "default", "via", HOME6_GLOBAL)
    _ip("-n", home.name, "route", "add", "default", "via", "80.1.1.2")
    _ip("-n", internet.name, "route", "add", f"{LAN}.0/24", "via", "80.1.1.1")
    _ip("-n", internet.name, "route", "add", "81.2.69.32/28", "via", "80.1.1.1")
    home.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")


def _cable(one: Space, one_end: str, other: Space, other_end: str, mark: str) -> None:
    ends = (f"{mark}a", f"{mark}b")
    _ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
    for space, end, name in ((one, ends[0], one_end), (other, ends[1], other_end)):
        _ip("link", "set", end, "netns", space.name)
        _ip("-n", space.name, "link", "set", end, "name", name)
        _ip("-n", space.name, "link", "set", name, "up")


def _address(space: Space, device: str, *addresses: str) -> None:
    for address in addresses:
        nodad = ("nodad",) if ":" in address else ()
        _ip("-n", space.name, "address", "add", address, "dev", device, *nodad)


def _own_resolver(folder: Path) -> tuple[str, ...]:
    """Has the engine see the resolv.conf of a host at home, which names the router and the home's domain."""
    file = folder / "resolv.conf"
    file.write_text(f"nameserver {ROUTER}\nsearch {SEARCH_DOMAIN}\noptions timeout:7\n")
    script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    return ("unshare", "--mount", "--propagation", "slave", "sh", "-c", script, str(file))


def _start_witness(stack: ExitStack, space: Space, names: Mapping[str, str]) -> None:
    log = space.folder / f"{space.role}.visitors"
    ready = space.folder / f"{space.role}.ready"
    words = space.command(
        sys.executable, "-m", "tests.container.witness", space.role, str(log), str(ready), json.dumps(dict(names))
    )
    errors = (space.folder / f"{space.role}.errors").open("wb")
    stack.callback(errors.close)
    witness = subprocess.Popen(words, stderr=errors, cwd=Path(__file__).parents[2])

    def end() -> None:
        witness.terminate()
        witness.wait(10)

    stack.callback(end)
    until = time.monotonic() + WITNESS_SECONDS
    while not ready.exists():
        if witness.poll() is not None or time.monotonic() > until:
            raise images.NoEngine(f"no witness in {space.role}: {Path(errors.name).read_text()[-300:]}")
        time.sleep(0.05)


def _delete(space: Space) -> None:
    subprocess.run(("ip", "netns", "delete", space.name), capture_output=True, check=False)


def _ip(*words: str) -> None:
    done = subprocess.run(("ip", *words), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise images.NoEngine(f"no network namespaces here: ip {' '.join(words)}: {done.stderr.strip()}")
