"""The installer and the unit under a real systemd, in a container: ready, watched, detached, adopted, removed.

The container is Debian 12 by debootstrap, with the capabilities that this machine has, the host's network and engine.
It has no view of the engine's processes, so that the limit of open files must be one that the engine can give."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.fixtures import busybox_image, docker_client, docker_engine
from tests.service.frp import free_port

__all__ = ["busybox_image", "docker_client", "docker_engine"]

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "gpunode-test/systemd:bookworm"
PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-venv,nftables,ca-certificates,procps"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
INIT = """
mkdir /tmp/groups; mount -t cgroup2 none /tmp/groups; mkdir -p /tmp/groups/gpunode-test-$$
echo $$ >/tmp/groups/gpunode-test-$$/cgroup.procs; umount /tmp/groups
exec unshare -C sh -c 'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; exec /sbin/init'
"""
DROP_IN = """[Service]
Environment=GPUNODE_NETWORK__FILTER=off GPUNODE_LIMITS__OPEN_FILES=1024 GPUNODE_WORK_PROOF__ENGINE=off
WatchdogSec=8
RestartSec=1
"""

pytestmark = [
    pytest.mark.docker,
    pytest.mark.long,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("debootstrap") is None, reason="needs root and debootstrap"),
]


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0 or not check, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def make_image() -> None:
    if run("docker", "images", "-q", IMAGE).strip():
        return
    with tempfile.TemporaryDirectory() as scratch:
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", f"{scratch}/root")
        run("sh", "-c", f"tar -C {scratch}/root -c . | docker import - {IMAGE}")


def capabilities() -> list[str]:
    """What this machine may give away, by the names that every engine knows."""
    shown = run("sh", "-c", "capsh --decode=$(awk '/CapBnd/ {print $2}' /proc/self/status)").strip().partition("=")[2]
    names = [name.removeprefix("cap_").upper() for name in shown.split(",")]
    return [name for name in names if name not in ("BPF", "PERFMON", "CHECKPOINT_RESTORE")]


class Host:
    """A machine with systemd."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, script: str, *, check: bool = True) -> str:
        return run("docker", "exec", "-e", f"PIP_CERT={AUTHORITIES}", self.name, "bash", "-c", script, check=check)

    def shows(self, *properties: str) -> str:
        return self(f"systemctl show gpunode --property={','.join(properties)}")

    def until(self, holds: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, self("journalctl -u gpunode --no-pager | tail -40")
            time.sleep(1)

    def as_service(self, command: str) -> str:
        return self(f"cd /; runuser -u gpunode -- gpunode {command}")


@pytest.fixture
def host() -> Iterator[Host]:
    make_image()
    socket = Path("/var/run/docker.sock").resolve()
    name = f"gpunode-test-systemd-{os.getpid()}"
    caps = [word for each in capabilities() for word in ("--cap-add", each)]
    relaxed = [f"--security-opt={each}=unconfined" for each in ("seccomp", "apparmor", "systempaths")]
    mounts = [
        "--tmpfs=/run:exec",
        "--tmpfs=/tmp:exec",
        f"--volume={socket}:/run/docker.sock",
        f"--volume={ROOT}:/src:ro",
    ]
    run(
        *("docker", "run", "--detach", f"--name={name}", *caps, *relaxed, "--network=host", *mounts),
        *("--env=container=docker", IMAGE, "sh", "-c", INIT),
    )
    try:
        machine = Host(name)
        run("docker", "cp", str(AUTHORITIES), f"{name}:{AUTHORITIES}")
        machine(f"groupadd --system --gid {socket.stat().st_gid} docker")
        machine.until(lambda: "running" in machine("systemctl is-system-running", check=False), 60)
        yield machine
    finally:
        run("docker", "rm", "--force", name)


def test_a_life_as_a_service(host: Host, busybox_image: str) -> None:
    host("bash /src/deploy/install.sh")
    assert "is the current one" in host("bash /src/deploy/install.sh")
    rpc, content = free_port(), free_port()
    chain = f"gpunode localnet start --rpc-port {rpc} --content-port {content} --keys /tmp/keys"
    host(f"systemd-run --unit=chain -p WorkingDirectory=/tmp /opt/gpunode/current/bin/{chain}")
    host.until(lambda: "ready" in host("journalctl -u chain -o cat"), 60)
    url = f"--rpc http://127.0.0.1:{rpc}"
    started = json.loads(host.as_service(f"init --cluster localnet --country NL {url} --json"))
    host(f"gpunode localnet faucet {started['address']} --sol 1 {url}")
    folder = "/etc/systemd/system/gpunode.service.d"
    host(f"mkdir -p {folder}; printf '%s' '{DROP_IN}' >{folder}/x.conf")
    host("systemctl daemon-reload; systemctl start gpunode")
    assert "ActiveState=active" in host.shows("ActiveState")
    host.until(lambda: "main queued, place 1 of 1" in host.shows("StatusText"), 60)

    loop = "i=0; while [ $i -lt 60 ]; do echo $i; sleep 1; i=$((i+1)); done"
    operation = {"type": "container/run", "id": "count", "args": {"image": busybox_image, "cmd": ["sh", "-c", loop]}}
    definition = {"version": "0.1", "type": "container", "meta": {"trigger": "cli"}, "ops": [operation]}
    run("docker", "exec", host.name, "sh", "-c", 'printf "%s" "$0" >/tmp/job.json', json.dumps(definition))
    terms = f"--market {started['market']} --timeout 200 --wallet /tmp/keys/poster.json"
    host(f"gpunode job post /tmp/job.json {terms} {url} --content http://127.0.0.1:{content}")
    host.until(lambda: "(run)" in host.shows("StatusText"), 60)
    assert "jobs are not settled yet" in host("bash /src/deploy/install.sh --uninstall", check=False)

    # SIGTERM detaches, and the next start goes on.
    host("systemctl stop gpunode")
    assert {"ActiveState=inactive", "Result=success"} <= set(host.shows("ActiveState", "Result").split())
    host("systemctl start gpunode")
    host.until(lambda: "(run)" in host.shows("StatusText"), 30)

    # A process that stands still gives no sign of life.
    host("kill -STOP $(systemctl show gpunode --property=MainPID --value)")
    host.until(lambda: {"NRestarts=1", "ActiveState=active"} <= set(host.shows("NRestarts", "ActiveState").split()), 60)
    assert "Watchdog timeout" in host("journalctl -u gpunode -o cat")

    def settled() -> bool:
        (job,) = json.loads(host.as_service("jobs --json"))["jobs"]
        return job["settlement"] is not None

    host.until(settled, 120)
    (job,) = json.loads(host.as_service("jobs --json"))["jobs"]
    assert job["settlement"]["kind"] == "finish"
    assert job["settlement"]["pay"] >= 60_000
    assert "✔ service" in host.as_service("doctor") or "– service" in host.as_service("doctor")

    # What only a person can mend is not tried again.
    host("systemctl stop gpunode; sed -i 's/cluster: localnet/cluster: nonsense/' /etc/gpunode/node.yaml")
    host("systemctl start gpunode", check=False)
    time.sleep(4)
    assert {"ActiveState=failed", "ExecMainStatus=3"} <= set(host.shows("ActiveState", "ExecMainStatus").split())

    assert "whether jobs are open cannot be told" in host("bash /src/deploy/install.sh --purge", check=False)
    host("bash /src/deploy/install.sh --purge --force")
    left = host(
        "ls -d /opt/gpunode /etc/gpunode /var/lib/gpunode /usr/local/bin/gpunode; getent passwd gpunode", check=False
    )
    assert left.count("cannot access") == 4
    assert "gpunode:x" not in left
    assert "main.json" in host("ls /root/gpunode-keys-*")
