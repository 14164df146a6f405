"""What stands in the way of taking jobs when they could not be kept inside; and what the operator has let go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.agent.doctor_isolation import system_calls
from node.agent.health.verdict import WELL
from node.agent.isolation import GpuRuntimes, IsolationProbe, hindrance, relaxations
from node.container.engine import EngineInfo
from node.container.gvisor import gpu_refusal, supported_drivers
from node.errors import EngineUnavailable
from node.records import Address, Gpu, HealthState, Plan
from node.settings import Settings
from tests.container.operations import operation

INFO = EngineInfo(
    name="docker",
    version="24",
    api_version="1.43",
    storage_driver="overlay2",
    cgroup_version="2",
    cpus=2,
    memory_bytes=1,
    runtimes=("runc", "runsc"),
    security_options=("name=seccomp,profile=builtin", "name=cgroupns"),
    root_dir="/",
)
REAL = Gpu("nvidia", 0, "GPU-1", "H100", None, "550.54.15", None, None)
SIMULATED = replace(REAL, provider="simulated", uuid="GPU-simulated-1", driver=None)


def settings(**changes: Any) -> Settings:
    tree = {
        "cluster": "localnet",
        "host": {"country": "NL"},
        "lanes": [{"wallet": "w.json", "market": "11111111111111111111111111111111"}],
        **changes,
    }
    return Settings.model_validate(tree)


class Informed:
    """An engine that says what the test says."""

    def __init__(self, info: EngineInfo | Exception) -> None:
        self.answer = info

    async def info(self) -> EngineInfo:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_all_is_well() -> None:
    assert hindrance(settings(engine={"runtime": "runsc"}), INFO) is None


@pytest.mark.parametrize(
    "options", [(), ("name=seccomp,profile=unconfined",), ("name=apparmor",)], ids=["none", "unconfined", "other"]
)
def test_no_filter_of_system_calls(options: tuple[str, ...]) -> None:
    info = replace(INFO, security_options=options)
    found = hindrance(settings(), info)
    assert found is not None
    assert "seccomp" in found.message
    assert "allow_unconfined" in found.hint
    assert hindrance(settings(engine={"allow_unconfined": True}), info) is None


def test_a_runtime_that_is_not_there() -> None:
    info = replace(INFO, runtimes=("runc",))
    found = hindrance(settings(engine={"runtime": "runsc"}), info)
    assert found is not None
    assert "set engine.runtime" in found.hint
    rules = {"isolation": [{"profile": "sealed"}, {"images": ["x*"], "runtime": "runsc"}]}
    found = hindrance(settings(policy=rules), info)
    assert found is not None
    assert "policy.isolation.1.runtime" in found.hint


async def test_an_engine_that_was_set_up_otherwise_meanwhile() -> None:
    engine = Informed(INFO)
    probe = IsolationProbe(settings(), engine)
    assert await probe.look() == WELL
    engine.answer = replace(INFO, security_options=())
    assert (await probe.look()).state is HealthState.FAILING
    engine.answer = EngineUnavailable("down")
    assert await probe.look() == WELL  # the engine's own look says that


# --- GPUs under gVisor ------------------------------------------------------------------------------------------


def program(folder: Path, body: str) -> str:
    path = folder / "runsc"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


KNOWS = '[ "$1 $2" = "nvproxy list-supported-drivers" ] || exit 1\nprintf "535.54.03\\n550.54.15\\n"'


async def test_the_program_is_asked(tmp_path: Path) -> None:
    assert await supported_drivers(program(tmp_path, KNOWS)) == {"535.54.03", "550.54.15"}
    assert await supported_drivers(program(tmp_path, "echo 550.54.15; exit 128")) == frozenset()
    assert await supported_drivers(str(tmp_path / "missing")) == frozenset()


@pytest.mark.parametrize(
    ("arguments", "driver", "expected"),
    [
        (("--nvproxy=true",), "550.54.15", ""),
        (("--network=sandbox", "-nvproxy"), "550.54.15", ""),
        (("--nvproxy",), "550.54.1", "does not support NVIDIA driver 550.54.1"),
        (("--nvproxy",), None, "does not support"),
        ((), "550.54.15", "without --nvproxy"),
        (("--nvproxy", "--nvproxy=false"), "550.54.15", "without --nvproxy"),
    ],
)
async def test_a_gpu_under_gvisor(
    tmp_path: Path, arguments: tuple[str, ...], driver: str | None, expected: str
) -> None:
    info = replace(INFO, runtime_commands=(("runsc", (program(tmp_path, KNOWS), *arguments)),))
    found = await gpu_refusal(info, [driver])
    assert expected in found
    assert bool(found) == bool(expected)


async def test_a_runtime_that_is_no_program() -> None:
    assert "does not say which program" in await gpu_refusal(INFO, ["550.54.15"])


async def test_only_real_gpus_on_gvisor_are_in_question() -> None:
    runtimes = GpuRuntimes(Informed(INFO))
    assert await runtimes.trouble("runc", (REAL,)) == ""
    assert await runtimes.trouble("runsc", (SIMULATED,)) == ""
    assert await runtimes.trouble("runsc", ()) == ""
    assert await runtimes.trouble("runsc", (REAL,)) != ""


async def test_a_plan_with_a_gpu_on_gvisor_is_given_back() -> None:
    def plan(**spec: Any) -> Plan:
        return Plan(Address("job"), "net", (operation("image", "node", "x", runtime="runsc", **spec),))

    runtimes = GpuRuntimes(Informed(INFO))
    assert "runsc" in await runtimes.refusal(plan(gpu_uuids=("GPU-1",)), (REAL,))
    assert await runtimes.refusal(plan(), (REAL,)) == ""
    assert await GpuRuntimes(Informed(EngineUnavailable("x"))).refusal(plan(gpu_uuids=("GPU-1",)), (REAL,)) == ""


# --- what is let go ---------------------------------------------------------------------------------------------


def test_by_default_nothing_is_let_go() -> None:
    assert relaxations(settings()) == ()
    assert relaxations(settings(policy={"isolation": [{"profile": "sealed", "runtime": "runsc"}]})) == ()


def test_what_is_let_go_is_named() -> None:
    tree = settings(
        api={"messages": "any"},
        engine={"allow_unconfined": True, "profile": "sealed", "runtime": "runsc"},
        limits={"disk_most": 0, "inodes": 0},
        policy={"isolation": [{"images": ["mine/*"], "profile": "standard"}, {"posters": ["me"], "runtime": "runc"}]},
    )
    assert [each.setting for each in relaxations(tree)] == [
        "api.messages",
        "engine.allow_unconfined",
        "limits.disk_most",
        "limits.inodes",
        "policy.isolation.0.profile",
        "policy.isolation.1.runtime",
    ]
    assert "mine/*" in relaxations(tree)[4].meaning


def test_a_network_that_is_let_go_is_named() -> None:
    tree = settings(network={"filter": "off"})
    assert [each.setting for each in relaxations(tree)] == ["network.filter"]
    wider = {"network": {"egress": "none"}, "policy": {"isolation": [{"posters": ["me"], "egress": "open"}]}}
    assert [each.setting for each in relaxations(settings(**wider))] == ["policy.isolation.0.egress"]


def test_a_rootless_engine_is_out_of_the_packet_filters_sight() -> None:
    found = hindrance(settings(), replace(INFO, security_options=("name=seccomp,profile=builtin", "name=rootless")))
    assert found is not None
    assert "rootless" in found.message
    off = settings(network={"filter": "off"})
    assert hindrance(off, replace(INFO, security_options=("name=seccomp,profile=builtin", "name=rootless"))) is None


@pytest.mark.parametrize(
    ("version", "let_through"),
    [
        ("20.10.24+dfsg1", "io_uring and sockets to the host's virtual machines"),
        ("24.0.7", "io_uring through"),
        ("25.0.0", ""),
        ("29.1", ""),
        ("dev", ""),
    ],
)
def test_the_doctor_says_what_an_old_engine_s_filter_lets_through(version: str, let_through: str) -> None:
    rows = system_calls(replace(INFO, version=version))
    assert bool(rows) is bool(let_through)
    for row in rows:
        assert (row.ok, let_through in row.seen) == (None, True)
        assert row.fix


def test_without_any_filter_another_row_says_so() -> None:
    assert system_calls(replace(INFO, version="20.10.24", security_options=())) == []
