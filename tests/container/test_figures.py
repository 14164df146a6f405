"""What a container uses, by its engine's counters and by both kinds of control groups."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.container import group_stats as module
from node.container.cgroup import group_paths, memory_held
from node.container.docker_stats import container_stats
from node.container.engine import ContainerView
from node.container.group_stats import group_stats
from node.container.nodes import refuse_nodes
from node.errors import EngineRejected

PID = 77
NET = """Inter-|   Receive          |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 900 1 0 0 0 0 0 0 900 1 0 0 0 0 0 0
  eth0: 1200 1 0 0 0 0 0 0 340 1 0 0 0 0 0 0
"""


class Groups:
    """A host's view of one container's control groups, made of files."""

    def __init__(self, folder: Path) -> None:
        self.proc, self.root = folder / "proc", folder / "cgroup"
        (self.proc / str(PID) / "net").mkdir(parents=True)
        (self.proc / str(PID) / "net" / "dev").write_text(NET)

    def write(self, folder: str, **files: str) -> None:
        place = self.root / folder
        place.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (place / name.replace("__", ".")).write_text(text)

    def unified(self) -> None:
        (self.proc / str(PID) / "cgroup").write_text("0::/docker/abc\n")
        self.write(
            "docker/abc",
            memory__current="5000\n",
            memory__max="8000\n",
            memory__stat="anon 2500\nfile 2000\nshmem 500\ninactive_file 1200\n",
            cpu__stat="usage_usec 3000000\nuser_usec 1\n",
            io__stat="8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=5 wbytes=7 rios=1\n",
        )

    def old(self) -> None:
        lines = [
            "4:memory:/docker/abc",
            "3:cpu,cpuacct:/docker/abc",
            "2:blkio:/docker/abc",
            "1:name=systemd:/x",
            "0::/",
        ]
        (self.proc / str(PID) / "cgroup").write_text("\n".join(lines) + "\n")
        self.write(
            "memory/docker/abc",
            memory__usage_in_bytes="5000\n",
            memory__limit_in_bytes="8000\n",
            memory__stat="cache 1\ntotal_cache 2000\ntotal_shmem 500\ntotal_inactive_file 1200\n",
        )
        self.write("cpuacct/docker/abc", cpuacct__usage="3000000000\n")
        self.write(
            "blkio/docker/abc",
            blkio__throttle__io_service_bytes="8:0 Read 10\n8:0 Write 20\n8:16 Read 5\n8:16 Write 7\nTotal 42\n",
        )


@pytest.fixture(params=["unified", "old"])
def groups(request: pytest.FixtureRequest, tmp_path: Path) -> Groups:
    made = Groups(tmp_path)
    getattr(made, request.param)()
    return made


def test_memory_that_cannot_be_taken_back(groups: Groups) -> None:
    assert memory_held(PID, groups.proc, groups.root) == 5000 - (2000 - 500)


async def test_figures_of_a_control_group(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BETWEEN_SECONDS", 0.01)
    found = await group_stats(PID, groups.proc, groups.root)
    assert found is not None
    assert (found.memory_usage, found.memory_limit) == (5000 - 1200, 8000)
    assert (found.disk_read, found.disk_written) == (15, 27)
    assert (found.network_received, found.network_sent) == (1200, 340)
    assert found.cpu_percent == 0.0


async def test_a_group_that_is_not_seen(tmp_path: Path) -> None:
    made = Groups(tmp_path)
    assert memory_held(PID, made.proc, made.root) is None
    assert group_paths(PID, made.proc) is None
    assert await group_stats(PID, made.proc, made.root) is None
    (made.proc / str(PID) / "cgroup").write_text("0::/gone\n")
    assert memory_held(PID, made.proc, made.root) is None
    assert await group_stats(PID, made.proc, made.root) is None


async def test_a_process_that_has_ended_does_not_have_the_machines_memory(groups: Groups) -> None:
    lines = (groups.proc / str(PID) / "cgroup").read_text().splitlines()
    ended = [line.rsplit(":", 1)[0] + ":/" for line in lines]
    (groups.proc / str(PID) / "cgroup").write_text("\n".join(ended) + "\n")
    for folder in (".", "memory"):
        groups.write(folder, memory__usage_in_bytes="9\n", memory__current="9\n", memory__stat="file 1\n")
    assert group_paths(PID, groups.proc) is None
    assert memory_held(PID, groups.proc, groups.root) is None
    assert await group_stats(PID, groups.proc, groups.root) is None


def answer(**memory: Any) -> dict[str, Any]:
    """What an engine says of a container that ran half of the time of two of four processors."""
    cpu = {"cpu_usage": {"total_usage": 6_000}, "system_cpu_usage": 20_000, "online_cpus": 4}
    before = {"cpu_usage": {"total_usage": 1_000}, "system_cpu_usage": 0}
    blocks = [{"op": "Read", "value": 3}, {"op": "read", "value": 4}, {"op": "write", "value": 5}, {"op": "Total"}]
    return {
        "cpu_stats": cpu,
        "precpu_stats": before,
        "memory_stats": {"usage": 1000, "limit": 4000, "stats": memory},
        "blkio_stats": {"io_service_bytes_recursive": blocks},
        "networks": {"eth0": {"rx_bytes": 7, "tx_bytes": 8}, "eth1": {"rx_bytes": 1, "tx_bytes": 1}},
    }


@pytest.mark.parametrize("name", ["total_inactive_file", "inactive_file"])
def test_an_engine_s_counters(name: str) -> None:
    found = container_stats(answer(**{name: 400}))
    assert found is not None
    assert found.cpu_percent == 100.0
    assert (found.memory_usage, found.memory_limit) == (600, 4000)
    assert (found.disk_read, found.disk_written) == (7, 5)
    assert (found.network_received, found.network_sent) == (8, 9)


def test_counters_that_are_missing_or_odd() -> None:
    assert container_stats({}) is None
    assert container_stats({"memory_stats": {}}) is None
    found = container_stats({"memory_stats": {"usage": 5, "stats": {"inactive_file": 9}}, "networks": None})
    assert found is not None
    assert (found.cpu_percent, found.memory_usage, found.memory_limit) == (0.0, 5, 0)
    turned = answer()
    turned["cpu_stats"], turned["precpu_stats"] = turned["precpu_stats"], turned["cpu_stats"]
    found = container_stats(turned)
    assert found is not None
    assert found.cpu_percent == 0.0


@pytest.mark.skipif(os.geteuid() != 0, reason="device nodes are made by root")
async def test_a_volume_with_a_device_node_is_not_for_gvisor(tmp_path: Path) -> None:
    """Another operation's image may have filled it, which ran where nodes do no harm."""
    try:
        os.mknod(tmp_path / "disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0))
    except OSError as error:
        pytest.skip(f"no device nodes can be made here: {error}")
    view = ContainerView("1", "name", {}, "created", False, None, {}, "", None, None, "", "", mounted=(str(tmp_path),))
    await refuse_nodes(view, "runc")
    with pytest.raises(EngineRejected, match="device node"):
        await refuse_nodes(view, "runsc")
    await refuse_nodes(replace(view, mounted=()), "runsc")
