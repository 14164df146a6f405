"""Whether the host can serve."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from node.agent.readiness import HostCheck, LaneGpus
from node.chain.clusters import DEVNET, MAINNET, Cluster
from node.chain.rpc import Rpc
from node.container.engine import Engine, EngineInfo
from node.errors import GpuError, LaneDegraded, WrongCluster
from node.journal.journal import Journal
from node.records import Gpu
from node.settings import Settings
from tests.agent.doubles import GPU

OTHER = replace(GPU, uuid="GPU-sim-1", index=1)


class Host:
    """Engine, chain and GPUs in one."""

    def __init__(self, folder: Path) -> None:
        self.gpus: tuple[Gpu, ...] = (GPU, OTHER)
        self.genesis = "genesis-a"
        self.folder = folder
        self.runtimes: tuple[str, ...] = ("runc",)
        self.security_options: tuple[str, ...] = ("name=seccomp,profile=default",)
        self.runtime_commands: tuple[tuple[str, tuple[str, ...]], ...] = ()

    async def inventory(self) -> tuple[Gpu, ...]:
        return self.gpus

    async def get_genesis_hash(self) -> str:
        return self.genesis

    def trust_only(self, genesis: str) -> None:
        self.trusted = genesis

    async def info(self) -> EngineInfo:
        return EngineInfo(
            name="docker",
            version="24",
            api_version="1.43",
            storage_driver="overlay2",
            cgroup_version="2",
            cpus=2,
            memory_bytes=1,
            runtimes=self.runtimes,
            security_options=self.security_options,
            root_dir=str(self.folder),
            runtime_commands=self.runtime_commands,
        )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[Journal]:
    async with await Journal.open(tmp_path / "journal.sqlite") as opened:
        yield opened


def check(host: Host, journal: Journal, expected: str | None = None, **changes: Any) -> HostCheck:
    tree = {
        "cluster": "localnet",
        "host": {"country": "NL"},
        "limits": {"disk_free": 0},
        "paths": {"data": str(host.folder)},
        "lanes": [{"wallet": "w.json", "market": "11111111111111111111111111111111"}],
        **changes,
    }
    return HostCheck(
        Settings.model_validate(tree), cast(Engine, host), cast(Rpc, host), journal, expected_genesis=expected
    )


async def test_a_lane_offers_all_gpus_or_those_it_names(host: Host) -> None:
    assert await LaneGpus(host, "all").current() == (GPU, OTHER)
    assert await LaneGpus(host, ("GPU-sim-1",)).current() == (OTHER,)


async def test_a_gpu_that_is_not_there(host: Host) -> None:
    with pytest.raises(GpuError, match="GPU-sim-7") as raised:
        await LaneGpus(host, ("GPU-sim-0", "GPU-sim-7")).current()
    assert raised.value.hint
    host.gpus = ()
    with pytest.raises(GpuError, match="no GPU"):
        await LaneGpus(host, "all").current()


async def test_all_is_well(host: Host, journal: Journal) -> None:
    await check(host, journal, expected="genesis-a").run()
    await check(host, journal).run()


async def test_the_wrong_chain(host: Host, journal: Journal) -> None:
    with pytest.raises(WrongCluster, match=r"genesis-a.*localnet.*genesis-b"):
        await check(host, journal, expected="genesis-b").run()
    await check(host, journal).run()
    host.genesis = "genesis-c"
    with pytest.raises(WrongCluster, match="journal belongs") as raised:
        await check(host, journal).run()
    assert raised.value.hint


@pytest.mark.parametrize("public", [MAINNET, DEVNET], ids=lambda cluster: cluster.name)
async def test_a_public_chain_is_no_localnet(host: Host, journal: Journal, public: Cluster) -> None:
    assert public.genesis_hash is not None
    host.genesis = public.genesis_hash
    with pytest.raises(WrongCluster, match=f"say localnet.*serves {public.name}"):
        await check(host, journal).run()


async def test_a_missing_runtime(host: Host, journal: Journal) -> None:
    with pytest.raises(LaneDegraded, match="no runtime 'runsc'") as raised:
        await check(host, journal, engine={"runtime": "runsc"}).run()
    assert "engine.runtime" in raised.value.hint


async def test_too_little_disk(host: Host, journal: Journal) -> None:
    with pytest.raises(LaneDegraded, match="GiB free") as raised:
        await check(host, journal, limits={"disk_free": 2**62}).run()
    assert "limits.disk_free" in raised.value.hint
