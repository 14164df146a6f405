"""A GPU over a span, over restarts, and under several followers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.content.merkle import MerkleHasher
from node.errors import GpuError
from node.gpu.helper import DriverSilent
from node.gpu.meter import metering
from node.gpu.sampler import SHUNNED_SECONDS, Sampler
from node.gpu.samples import READINGS, Failure, NotAvailable, Round, Sample, parse_line
from node.gpu.telemetry import GpuSpan
from node.gpu.throttle import reasons
from tests.gpu.test_nvidia import ManualClock

A, B, C = "GPU-a", "GPU-b", "GPU-c"


def sample(at: float, uuid: str = A, **values: int) -> Sample:
    return Sample(uuid, at, round(at * 1000), **values)  # type: ignore[arg-type]


def span(*samples: Sample) -> GpuSpan:
    made = GpuSpan(samples[0].uuid)
    for each in samples:
        made.add(each)
    return made


def test_the_most_the_mean_and_what_slowed_it_down() -> None:
    told = span(
        sample(1, energy_mj=1000, power_mw=100_000, utilisation=50, memory_bytes=10, temperature=60, throttle=0x1),
        sample(2, energy_mj=4000, power_mw=300_000, utilisation=100, memory_bytes=30, temperature=82, throttle=0x44),
        sample(3, energy_mj=9000, power_mw=200_000, utilisation=90, memory_bytes=20, temperature=80, throttle=0x40),
    ).telemetry()
    assert (told.joules, told.source, told.samples, told.seconds) == (8.0, "counter", 3, 2.0)
    assert told.utilisation_mean == pytest.approx(0.8)
    assert (told.memory_most, told.power_most, told.temperature_most) == (30, 300.0, 82)
    assert told.throttled == (("hardware_thermal", 2.0), ("power_cap", 1.0))
    assert (told.errors, told.gap_seconds) == ((), 0.0)


def test_nothing_is_told_of_what_a_gpu_does_not_offer() -> None:
    told = span(sample(1), sample(2)).telemetry()
    assert (told.joules, told.source, told.utilisation_mean) == (None, "none", None)
    assert (told.memory_most, told.power_most, told.temperature_most, told.throttled) == (None, None, None, ())


def test_a_gap_counts_for_the_counter_and_for_nothing_else() -> None:
    counted = span(sample(1, energy_mj=0, power_mw=1, throttle=4), sample(61, energy_mj=500, power_mw=1, throttle=4))
    told = counted.telemetry()
    assert (told.joules, told.source, told.gap_seconds, told.throttled) == (0.5, "counter", 60.0, ())
    powered = span(sample(1, power_mw=100_000), sample(2, power_mw=100_000), sample(62, power_mw=100_000))
    assert powered.telemetry().source == "none"


def test_errors_in_the_words_of_the_driver_s_numbers() -> None:
    made = span(
        Sample(A, 1, 1, ecc_uncorrected=3),
        Sample(A, 2, 2, ecc_uncorrected=5, xids=(48, 31, 31)),
        Sample(A, 3, 3, ecc_uncorrected=1, xids=(48,)),
    )
    assert made.fail(Failure(A, 4, "GPU is lost"))
    assert not made.fail(Failure(A, 5, "GPU is lost"))
    assert made.telemetry().errors == (
        "Xid 31, 2 times",
        "Xid 48 (double-bit memory error), 2 times",
        "3 uncorrected memory errors",
        "GPU is lost",
    )


def test_names_of_reasons() -> None:
    assert reasons(0x1) == ()
    assert reasons(0x84) == ("power_cap", "power_brake")
    assert reasons(0x10001) == ("reason_0x10000",)


readings = st.integers(0, 1 << 62) | st.just(NotAvailable("not read"))


@given(st.builds(Sample, uuid=st.text(), at=st.just(0.0), time_ms=st.integers(0, 1 << 50),
                 **dict.fromkeys(READINGS, readings), xids=st.lists(st.integers(0, 200)).map(tuple)))  # fmt: skip
def test_a_line_is_read_as_it_was_written(sample: Sample) -> None:
    again = parse_line(sample.line(), -sample.time_ms / 1000)
    assert again.line() == sample.line()
    failure = Failure(sample.uuid, sample.time_ms, "x")
    assert parse_line(failure.line(), 0.0) == failure


class Script:
    """A driver that counts up, and how often it was asked."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.asked: list[tuple[str, ...]] = []
        self.silent: set[str] = set()
        self.error: GpuError | None = None
        self.joules = 0

    async def take(self, uuids: tuple[str, ...]) -> Round:
        self.asked.append(uuids)
        if self.error is not None:
            raise self.error
        if self.silent & {*uuids}:
            raise DriverSilent("the GPU driver did not answer")
        energy = round(self.clock.monotonic() * 1000)
        now = self.clock.monotonic()
        return Round(tuple(Sample(uuid, now, round(self.clock.time() * 1000), energy_mj=energy) for uuid in uuids))


async def tick(clock: ManualClock, until: Callable[[], bool], seconds: float = 1.0) -> None:
    """Let time pass, step by step, until it is so."""
    for _ in range(200):
        if until():
            return
        clock.jump(seconds)
        async with clock._moved:
            clock._moved.notify_all()
        for _ in range(20):
            await asyncio.sleep(0)
    raise AssertionError("it never came to be")


async def test_one_request_a_second_for_all_who_follow() -> None:
    clock = ManualClock()
    script = Script(clock)
    sampler = Sampler(script.take, clock)
    seen: dict[str, list[str]] = {"one": [], "two": []}

    def note(name: str) -> Callable[[Round], None]:
        return lambda each: seen[name].extend(sample.uuid for sample in each.samples)

    async with sampler.following((A, B), note("one")):
        async with sampler.following((B, C), note("two")):
            await tick(clock, lambda: len(script.asked) >= 3)
            assert {*script.asked} == {(A, B, C)}
            assert {*seen["one"]} == {A, B}
            assert {*seen["two"]} == {B, C}
        script.asked.clear()
        await tick(clock, lambda: len(script.asked) >= 2)
        assert {*script.asked} == {(A, B)}


async def test_who_came_later_goes_on_sampling_when_the_first_leaves() -> None:
    clock = ManualClock()
    script = Script(clock)
    sampler = Sampler(script.take, clock)
    seen: list[Round] = []
    leave = asyncio.Event()

    async def first() -> None:
        async with sampler.following((A,), lambda _: None):
            await leave.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(first())
        await asyncio.sleep(0)
        async with sampler.following((B,), seen.append):
            await tick(clock, lambda: bool(seen))
            leave.set()
            seen.clear()
            await tick(clock, lambda: len(seen) >= 2)
    assert script.asked[-1] == (B,)


async def test_one_gpu_that_hangs_hides_the_others_for_one_round() -> None:
    clock = ManualClock()
    script = Script(clock)
    script.silent = {B}
    sampler = Sampler(script.take, clock)
    seen: list[Round] = []
    async with sampler.following((A, B, C), seen.append):
        await tick(clock, lambda: len(seen) >= 2)
        assert script.asked == [(A, B, C), (A,), (B,), (C,), (A, C)]
        script.silent = set()
        script.asked.clear()
        await tick(clock, lambda: (A, B, C) in script.asked)
        assert len(script.asked) <= SHUNNED_SECONDS + 1


async def test_a_driver_that_refuses_leaves_a_gap() -> None:
    clock = ManualClock()
    script = Script(clock)
    sampler = Sampler(script.take, clock)
    async with metering(sampler, (A,), None, None) as meter:
        script.error = GpuError("no driver")
        clock.jump(60)
        await meter.reading()
        script.error = None
        reading = await meter.reading()
    assert (reading.joules, reading.source) == (60.0, "counter")
    assert reading.gpus[0].gap_seconds == 60.0


async def test_a_driver_that_is_gone_is_asked_less_and_less_often() -> None:
    clock = ManualClock()
    script = Script(clock)
    script.error = GpuError("no driver")
    sampler = Sampler(script.take, clock)
    seen: list[Round] = []
    async with sampler.following((A,), seen.append):
        began = clock.monotonic()
        await tick(clock, lambda: len(script.asked) >= 6)
        assert clock.monotonic() - began >= 1 + 2 + 4 + 8 + 16 + 16
        script.error = None
        await tick(clock, lambda: bool(seen))
        asked, now = len(script.asked), clock.monotonic()
        await tick(clock, lambda: len(script.asked) >= asked + 3)
        assert clock.monotonic() - now <= 5


async def test_a_restart_goes_on_with_the_samples_of_the_life_before(tmp_path: Path) -> None:
    clock = ManualClock()
    script = Script(clock)
    lines = tmp_path / "samples" / "run.jsonl"
    async with metering(Sampler(script.take, clock), (A,), lines, MerkleHasher()) as meter:
        clock.jump(3)
        first = await meter.reading()
    with lines.open("ab") as file:
        file.write(b'{"uuid":"GPU-a","time_')  # a crash cut this one
    clock.jump(100)
    async with metering(Sampler(script.take, clock), (A,), lines, MerkleHasher()) as meter:
        clock.jump(4)
        second = await meter.reading()
    assert (first.joules, first.samples) == (3.0, 2)
    assert (second.joules, second.source, second.samples) == (107.0, "counter", 4)
    assert second.gpus[0].gap_seconds == 100.0
    assert (second.first_ms, first.last_ms) == (first.first_ms, 1_700_001_003_000)
    hasher = MerkleHasher()
    hasher.update(lines.read_bytes())
    assert second.samples_root == hasher.root()
    assert len(lines.read_bytes().splitlines()) == 4


async def test_lines_of_an_older_agent_count_as_they_stand(tmp_path: Path) -> None:
    clock = ManualClock()
    lines = tmp_path / "run.jsonl"
    old = f'{{"energy_mj":1000,"power_mw":5,"time_ms":{round(clock.time() * 1000)},"utilisation":50,"uuid":"{A}"}}\n'
    lines.write_text(old)
    async with metering(Sampler(Script(clock).take, clock), (A,), lines, MerkleHasher()) as meter:
        reading = await meter.reading()
    assert lines.read_text().startswith(old)
    hasher = MerkleHasher()
    hasher.update(lines.read_bytes())
    assert (reading.samples, reading.samples_root) == (3, hasher.root())


@pytest.mark.parametrize("text", [b"", b"nonsense\n", b"[]\n", b"1\n", b'{"uuid":1,"time_ms":2}\n', b"[" * 20_000])
async def test_a_file_that_holds_no_samples_is_begun_anew(tmp_path: Path, text: bytes) -> None:
    clock = ManualClock()
    lines = tmp_path / "run.jsonl"
    lines.write_bytes(text)
    async with metering(Sampler(Script(clock).take, clock), (A,), lines, None) as meter:
        reading = await meter.reading()
    assert reading.samples == len(lines.read_bytes().splitlines()) == 2
