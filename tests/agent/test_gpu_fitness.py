"""A lane's GPUs that become unfit for jobs and fit again, by scenarios of simulated ones; time is moved by hand."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from node.agent.gpu_users import GpuUser, GpuUsers
from node.agent.health.board import HealthBoard, LaneHealth
from node.agent.health.gpu_fitness import FITNESS, OWNER, GpuFitness, open_fitness
from node.agent.health.gpu_rules import BELOW_SLOWDOWN, HOTTEST, Heat, usable
from node.agent.health.verdict import FAILING, OK, UNKNOWN, Look
from node.agent.health.watch import HealthWatch
from node.gpu.hygiene import Owner
from node.gpu.monitor import GpuMonitor, SlowedWindow, local_day
from node.gpu.scenario import LOST_NAME, read_scenario
from node.gpu.simulated import SimulatedProvider
from node.gpu.state import GpuProcess, GpuState
from node.gpu.xids import BROKEN
from node.journal.journal import Journal
from node.records import Address, Gpu, LanePhase, LaneStatus, OperationState, OperationStatus
from node.settings import Settings
from tests.agent.clock import FakeClock
from tests.journal.samples import assignment

GIB = 1024**3
LANE = {"name": "one", "wallet": "w.json", "market": "11111111111111111111111111111111"}
STRANGER = 4711
PLAYED = {"pid": STRANGER, "used": GIB // 2, "names": ["Cyberpunk2077.exe", "wine64-preloader"]}


def settings(**gpu: Any) -> Settings:
    tree = {"cluster": "localnet", "host": {"country": "NL"}, "lanes": [LANE], "gpu": gpu}
    return Settings.model_validate(tree)


class Bench:
    """A simulated GPU, what watches it, and time."""

    def __init__(self, folder: Path, chosen: Settings) -> None:
        self.clock = FakeClock()
        self.file = folder / LOST_NAME
        self.provider = SimulatedProvider(1, folder / "machine", self.file, self.clock)
        self.monitor = GpuMonitor(self.provider, self.clock, local_day, chosen.gpu.throttle_minutes * 60)
        self.owners: dict[int, Owner] = {}
        self.fitness: GpuFitness = open_fitness(chosen, self.monitor, self.users, self.clock)
        self._told: dict[str, Any] = {}

    async def users(self, state: GpuState) -> tuple[GpuUser, ...]:
        return tuple(GpuUser(each, self.owners.get(each.pid, Owner.OTHER)) for each in state.processes or ())

    def tell(self, **values: Any) -> None:
        """Let the GPU be like this; None takes a value away."""
        self._told = {name: value for name, value in (self._told | values).items() if value is not None}
        self.file.write_text(json.dumps({"gpus": {"0": self._told}}))

    async def see(self, seconds: float, subject: str = FITNESS) -> Look:
        """Let so much time pass, and say what the subject looks like at its end."""
        (watched,) = (each for each in self.fitness.watched if each.subject == subject)
        look = await watched.probe.look()
        for second in range(round(seconds)):
            self.clock.now += 1
            gpus = await self.monitor.inventory()
            uuids = tuple(gpu.uuid for gpu in gpus)
            self.monitor.add(await self.provider._sample(uuids))
            if second % 5 == 4:
                await self.monitor.look(uuids)
                look = await watched.probe.look()
        return look


def well(bench: Bench) -> None:
    bench.tell(temperature=50, throttle=1, processes=[], faults={"recovery_action": 0}, counters={"ecc_volatile": 3})


async def test_what_tells_nothing_is_fit(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings())
    assert (await bench.see(0)).state is UNKNOWN
    assert (await bench.see(60)).state is OK


async def test_heat_with_two_limits_and_patience(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings())
    well(bench)
    assert (await bench.see(30)).state is OK
    bench.tell(temperature=90)
    assert (await bench.see(5)).state is OK
    hot = await bench.see(15)
    assert hot.state is FAILING
    assert hot.reason.endswith(" has 90 °C; jobs are taken again at 80 °C")
    bench.tell(temperature=81)
    assert (await bench.see(120)).state is FAILING
    bench.tell(temperature=80)
    assert (await bench.see(20)).state is FAILING
    assert (await bench.see(20)).state is OK


@pytest.mark.parametrize(("own", "by_owner", "limit"), [(None, None, HOTTEST), (87, None, 87 - BELOW_SLOWDOWN),
                                                        (87, 70, 70)])  # fmt: skip
def test_the_limit_of_heat(tmp_path: Path, own: int | None, by_owner: int | None, limit: int) -> None:
    gpu = Gpu("nvidia", 0, "GPU-1", "x", None, None, None, None, slowdown_temperature=own)
    assert Heat(Bench(tmp_path, settings()).monitor, by_owner).limit(gpu) == limit


@pytest.mark.parametrize("mask", [0x40, 0x20, 0x80, 0x8])
async def test_long_slowed_down(tmp_path: Path, mask: int) -> None:
    bench = Bench(tmp_path, settings(throttle_minutes=2))
    well(bench)
    assert (await bench.see(120)).state is OK
    bench.tell(throttle=mask)
    assert (await bench.see(50)).state is OK
    slow = await bench.see(15)
    assert slow.state is FAILING
    assert "of the last 2 minutes" in slow.reason
    bench.tell(throttle=1)
    assert (await bench.see(60)).state is FAILING
    assert (await bench.see(65)).state is OK


@pytest.mark.parametrize(("mask", "minutes"), [(0x4, 1), (0x2, 1), (0x1, 1), (0x40, 0)])
async def test_what_the_owner_set_is_no_fault(tmp_path: Path, mask: int, minutes: int) -> None:
    bench = Bench(tmp_path, settings(throttle_minutes=minutes))
    well(bench)
    bench.tell(throttle=mask)
    assert (await bench.see(180)).state is OK


def test_a_window_forgets_and_counts_no_gap() -> None:
    window = SlowedWindow(10)
    for at in (0, 1, 2, 3, 60, 61):
        window.add(at, 0x40)
    assert (window.covered, window.slowed) == (1, 1)


async def test_memory_in_use_by_others_and_by_ours(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings())
    well(bench)
    bench.tell(processes=[{"pid": 5, "used": 9 * GIB, "names": ["python"]}])
    for owner in (Owner.JOB, Owner.AGENT, Owner.GONE):
        bench.owners[5] = owner
        assert (await bench.see(30)).state is OK
    bench.owners[5] = Owner.OTHER
    crowded = await bench.see(20)
    assert crowded.state is FAILING
    assert "9.0 GiB" in crowded.reason
    assert "python (process 5)" in crowded.reason
    bench.tell(processes=[{"pid": 5, "used": 2 * GIB, "names": ["python"]}])
    assert (await bench.see(60)).state is FAILING, "between the two limits nothing changes"
    bench.tell(processes=[{"pid": 5, "used": None, "names": ["python"]}])
    assert (await bench.see(60)).state is OK


@pytest.mark.parametrize(("pattern", "pauses"), [("cyberpunk2077.exe", True), ("*.EXE", True), ("wine64-*", True),
                                                 ("Cyberpunk", False), ("python", False)])  # fmt: skip
async def test_owners_who_play(tmp_path: Path, pattern: str, pauses: bool) -> None:
    bench = Bench(tmp_path, settings(pause_for=[pattern]))
    well(bench)
    assert (await bench.see(10, OWNER)).state is OK
    bench.tell(processes=[PLAYED])
    assert (await bench.see(5, OWNER)).state is OK, "one look is an accident"
    look = await bench.see(5, OWNER)
    assert (look.state is FAILING) is pauses
    if pauses:
        assert look.reason.startswith("Cyberpunk2077.exe uses GPU-simulated-")
    bench.tell(processes=[])
    assert ((await bench.see(30, OWNER)).state is FAILING) is pauses, "between two rounds of a game"
    assert (await bench.see(60, OWNER)).state is OK


async def test_a_job_s_program_of_that_name_is_not_the_owner_s(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings(pause_for=["python*"]))
    well(bench)
    bench.owners[5] = Owner.JOB
    bench.tell(processes=[{"pid": 5, "used": 1, "names": ["python3"]}])
    assert (await bench.see(20, OWNER)).state is OK


@pytest.mark.parametrize("patterns", [["*"], [""], ["??*"]])
def test_a_pattern_that_means_everything_is_refused(patterns: list[str]) -> None:
    with pytest.raises(ValueError, match="must name a program"):
        settings(pause_for=patterns)


@pytest.mark.parametrize("ends", [True, False])
async def test_whether_the_owner_ends_jobs_is_a_setting(tmp_path: Path, ends: bool) -> None:
    bench = Bench(tmp_path, settings(pause_for=["*.exe"], pause_ends_jobs=ends))
    well(bench)
    board = HealthBoard()

    async def tell(text: str, lane: str, level: str) -> None:
        """Nobody listens."""

    watch = HealthWatch(board, bench.fitness.watched, bench.clock, tell)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each()) for each in (bench.monitor.run, watch.run)]
        lost = group.create_task(LaneHealth(board, "one").lost())
        await bench.clock.advance(12)
        assert board.hindrance("one") is None
        bench.tell(processes=[PLAYED])
        await bench.clock.advance(12)
        hindrance = board.hindrance("one")
        assert hindrance is not None
        assert hindrance.message.startswith("gpu owner: Cyberpunk2077.exe uses")
        assert lost.done() is ends
        for task in (*tasks, lost):
            task.cancel()


@pytest.mark.parametrize(("faults", "words"), [
    ({"recovery_action": 1}, "asks for a reset"), ({"recovery_action": 2}, "reboot"), ({"recovery_action": 99}, "99"),
    ({"remap_pending": 1}, "wait to be remapped"),
    ({"remap_failure": 1, "recovery_action": 0}, "could not be remapped"),
    ({"retirement_pending": 1}, "retired"),
])  # fmt: skip
async def test_faults_keep_out_until_they_are_gone(tmp_path: Path, faults: dict[str, int], words: str) -> None:
    bench = Bench(tmp_path, settings())
    well(bench)
    assert (await bench.see(10)).state is OK
    bench.tell(faults=faults)
    look = await bench.see(10)
    assert look.state is FAILING
    assert words in look.reason
    well(bench)
    assert (await bench.see(10)).state is OK


@pytest.mark.parametrize("number", BROKEN)
async def test_an_error_after_which_it_must_be_reset(tmp_path: Path, number: int) -> None:
    bench = Bench(tmp_path, settings())
    well(bench)
    bench.tell(faults={}, xids={"31": 4}, energy_mj=1000)
    assert (await bench.see(10)).state is OK
    bench.tell(xids={"31": 5, str(number): 1})
    look = await bench.see(10)
    assert look.state is FAILING
    assert f"Xid {number} " in look.reason
    assert "reboot" in look.hint
    assert "gpunode resume" in look.hint
    bench.tell(xids={})
    assert (await bench.see(60)).state is FAILING, "a new life of the helper forgets nothing"
    bench.tell(energy_mj=5)
    assert (await bench.see(10)).state is OK, "its driver was loaded anew"


async def test_an_error_that_the_driver_wants_no_reset_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings())
    well(bench)
    bench.tell(xids={"74": 1})
    assert (await bench.see(20)).state is OK


async def test_a_gpu_that_was_away_and_is_back_has_been_reset(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings())
    bench.tell(xids={"79": 1})
    assert (await bench.see(10)).state is FAILING
    bench.tell(lost=True, xids=None)
    assert (await bench.see(10)).state is UNKNOWN
    bench.tell(lost=None)
    assert (await bench.see(10)).state is OK


async def test_uncorrected_errors_where_memory_cannot_be_repaired(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings())
    bench.tell(counters={"ecc_volatile": 3})
    assert (await bench.see(10)).state is OK
    bench.tell(counters={"ecc_volatile": 5})
    look = await bench.see(10)
    assert "has 2 new uncorrected memory errors" in look.reason
    bench.tell(counters={"ecc_volatile": 5}, faults={"remap_pending": 0})
    assert (await bench.see(10)).state is OK
    bench.tell(counters={"ecc_volatile": 5}, faults={})
    assert (await bench.see(10)).state is FAILING
    bench.tell(counters={"ecc_volatile": 0})
    assert (await bench.see(10)).state is OK


async def test_what_the_owner_accepts_is_said_no_more_and_what_is_new_is(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings())
    bench.tell(faults={"remap_failure": 1}, xids={"48": 1})
    assert (await bench.see(10)).state is FAILING
    bench.fitness.accept("one")
    assert (await bench.see(10)).state is OK
    bench.tell(xids={"48": 2})
    assert "Xid 48" in (await bench.see(10)).reason


async def test_what_cannot_be_seen_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings())
    well(bench)
    bench.tell(temperature=95)
    assert (await bench.see(30)).state is FAILING
    for _ in range(30):
        bench.clock.now += 1
    (watched,) = bench.fitness.watched
    assert (await watched.probe.look()).state is FAILING
    fresh = Bench(tmp_path, settings())
    fresh.tell(temperature=95)
    assert (await fresh.see(3)).state is UNKNOWN


@pytest.mark.parametrize(("facts", "words"), [
    ({"mig": True}, "has no MIG device"), ({"mig": True, "parent": "GPU-0"}, ""), ({"mig": False}, ""),
    ({"compute_mode": "prohibited"}, "prohibits"), ({"compute_mode": "exclusive"}, ""), ({}, ""),
])  # fmt: skip
async def test_what_no_program_can_use(facts: dict[str, Any], words: str) -> None:
    look = await usable(Gpu("nvidia", 0, "GPU-1", "x", None, None, None, None, **facts))
    assert (look.state is FAILING) is bool(words)
    assert words in look.reason


async def test_energy_of_the_day(tmp_path: Path) -> None:
    bench = Bench(tmp_path, settings())
    bench.monitor._day = lambda now: str(int(now) // 100)
    (gpu,) = await bench.provider.inventory()
    assert bench.monitor.energy_today(gpu.uuid) is None
    for energy in (1000, 4000, 500):
        bench.tell(energy_mj=energy)
        await bench.see(1)
    assert bench.monitor.energy_today(gpu.uuid) == (3.5, 1_700_000_001_000)
    bench.clock.now += 100
    await bench.see(1)
    assert bench.monitor.energy_today(gpu.uuid) == (0.0, 1_700_000_104_000)


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"gpus": 1}', '{"gpus": {"0": 1}}', "{" * 99_000])
def test_a_scenario_that_makes_no_sense_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    scenario = read_scenario(tmp_path / "x")
    assert not scenario.is_hanging
    assert not scenario.is_lost(0)
    assert scenario.state(0, "GPU-a").is_blank


# --- whose a process is ---------------------------------------------------------------------------------------


async def test_whose_a_process_is(tmp_path: Path) -> None:
    proc = tmp_path / "proc"

    def process(pid: int, groups: str, parent: int = 1) -> None:
        (proc / str(pid)).mkdir(parents=True)
        (proc / str(pid) / "cgroup").write_text(groups)
        (proc / str(pid) / "stat").write_text(f"{pid} (a) b) S {parent} {'0 ' * 17}{pid}7 0")

    process(10, "0::/docker/cafe42")
    process(20, "0::/user.slice")
    process(21, "0::/user.slice", parent=20)
    process(30, "0::/system.slice/gpunode.service", parent=os.getpid())
    process(31, "0::/system.slice/gpunode.service", parent=30)
    state = GpuState("GPU-a", processes=tuple(GpuProcess(pid, 1) for pid in (10, 20, 21, 30, 31, 99)))
    async with await Journal.open(tmp_path / "journal.sqlite") as journal:
        given = assignment()
        await journal.save_lane(_lane(given.lane))
        await journal.begin_job(given)
        running = OperationState(0, "op", "op", OperationStatus.RUNNING, container_id="cafe42")
        await journal.save_operation(given.run.address, running)
        telling = GpuUsers(journal, proc)
        users = await telling.of(state)
        assert await telling.of(state) == users
        late = GpuState("GPU-a", processes=(GpuProcess(40, 1),))
        process(40, "0::/docker/beefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeef")
        assert (await telling.of(late))[0].owner is Owner.OTHER
        second = OperationState(
            1,
            "next",
            "next",
            OperationStatus.RUNNING,
            container_id="beefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeefbeef",
        )
        await journal.save_operation(given.run.address, second)
        assert (await telling.of(late))[0].owner is Owner.JOB, "judged anew, because it runs in a container"
    owners = [each.owner for each in users]
    assert owners == [Owner.JOB, Owner.OTHER, Owner.OTHER, Owner.AGENT, Owner.AGENT, Owner.GONE]
    assert users[0].job == given.job.address


def _lane(name: str) -> LaneStatus:
    key = Address("11111111111111111111111111111111")
    return LaneStatus(name, key, key, LanePhase.QUEUED, "", 0.0)
