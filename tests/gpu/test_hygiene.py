"""What counts as left behind, state by state."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.gpu.hygiene import COUNTERS, FAULTS, MIG_LAYOUT, SETTINGS, Defect, Owner, compare
from node.gpu.state import GpuProcess, GpuState
from node.gpu.xids import BROKEN

MIB = 1024**2
SLACK = 256 * MIB
JOB, STRANGER, DEAD = 100, 200, 300
CLEAN = GpuState(
    uuid="GPU-a",
    processes=(GpuProcess(1, 300 * MIB),),
    vram_used_bytes=800 * MIB,
    settings=dict.fromkeys(SETTINGS, 7),
    counters=dict.fromkeys(COUNTERS, 3),
    faults=dict.fromkeys(FAULTS, 0),
    epoch="one",
    xids={"31": 2},
)


def owner(pid: int) -> Owner:
    return {JOB: Owner.JOB, DEAD: Owner.GONE}.get(pid, Owner.OTHER)


def defects(before: GpuState, after: GpuState) -> tuple[Defect, ...]:
    return compare(before, after, owner, SLACK).defects


def with_processes(*extra: GpuProcess, used: int) -> GpuState:
    assert CLEAN.processes is not None
    return replace(CLEAN, processes=(*CLEAN.processes, *extra), vram_used_bytes=used)


def test_the_same_is_clean() -> None:
    assert compare(CLEAN, CLEAN, owner, SLACK) == compare(GpuState("x"), GpuState("x"), owner, SLACK)
    assert defects(CLEAN, CLEAN) == ()


def test_a_process_of_the_job_that_stays() -> None:
    (defect,) = defects(CLEAN, with_processes(GpuProcess(JOB, None), used=800 * MIB))
    assert f"process {JOB} of the job still uses GPU-a" in defect.text
    assert not defect.lasting


@pytest.mark.parametrize(("more", "clean"), [(0, True), (256, True), (257, False), (40_000, False)])
def test_memory_within_the_slack_and_beyond(more: int, clean: bool) -> None:
    found = defects(CLEAN, replace(CLEAN, vram_used_bytes=(800 + more) * MIB))
    assert (found == ()) is clean
    assert all("still in use that were free before" in each.text and not each.lasting for each in found)


def test_less_memory_than_before_is_clean() -> None:
    assert defects(CLEAN, replace(CLEAN, vram_used_bytes=0, processes=())) == ()


def test_a_stranger_s_memory_is_not_the_job_s() -> None:
    grown = with_processes(GpuProcess(STRANGER, 4000 * MIB), used=4800 * MIB)
    comparison = compare(CLEAN, grown, owner, SLACK)
    assert comparison.defects == ()
    assert comparison.strangers == (GpuProcess(STRANGER, 4000 * MIB),)
    assert len(defects(CLEAN, replace(grown, vram_used_bytes=5200 * MIB))) == 1


def test_memory_that_one_who_was_there_before_took_is_not_the_job_s() -> None:
    grown = replace(CLEAN, processes=(GpuProcess(1, 2300 * MIB),), vram_used_bytes=2800 * MIB)
    assert defects(CLEAN, grown) == ()


@pytest.mark.parametrize("pid", [1, STRANGER])
def test_where_a_share_is_not_told_nothing_is_said_of_the_rest(pid: int) -> None:
    before = replace(CLEAN, processes=(GpuProcess(1, 300 * MIB),))
    after = replace(CLEAN, processes=(GpuProcess(pid, None),), vram_used_bytes=9000 * MIB)
    assert defects(before, after) == ()


def test_memory_that_no_process_holds_is_the_job_s() -> None:
    (defect,) = defects(CLEAN, with_processes(GpuProcess(DEAD, 4000 * MIB), used=4800 * MIB))
    assert "still in use" in defect.text


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_was_changed_lasts(name: str) -> None:
    (defect,) = defects(CLEAN, replace(CLEAN, settings=dict(CLEAN.settings) | {name: 8}))
    assert SETTINGS[name][0] in defect.text
    assert ("another than before" if name == MIG_LAYOUT else "was 7") in defect.text
    assert "gpunode resume" in defect.hint
    assert defect.lasting


@pytest.mark.parametrize("name", COUNTERS)
def test_new_memory_errors_last_and_old_ones_count_for_nothing(name: str) -> None:
    (defect,) = defects(CLEAN, replace(CLEAN, counters=dict(CLEAN.counters) | {name: 5}))
    assert "has 2 new uncorrected memory errors" in defect.text
    assert defect.lasting
    # After a new start of the driver one counter begins again.
    assert defects(CLEAN, replace(CLEAN, counters=dict(CLEAN.counters) | {name: 0})) == ()


@pytest.mark.parametrize("name", FAULTS)
def test_a_new_fault_lasts_and_an_old_one_counts_for_nothing(name: str) -> None:
    broken = replace(CLEAN, faults=dict(CLEAN.faults) | {name: 1})
    (defect,) = defects(CLEAN, broken)
    assert FAULTS[name] in defect.text
    assert defect.lasting
    assert defects(broken, broken) == ()


def test_errors_of_the_program_are_not_the_gpu_s() -> None:
    assert defects(CLEAN, replace(CLEAN, xids={"31": 900, "13": 1, "43": 1, "45": 4})) == ()


@pytest.mark.parametrize("number", BROKEN)
def test_errors_of_the_gpu_in_the_same_life_of_the_helper_and_in_another(number: int) -> None:
    broken = replace(CLEAN, xids={str(number): 1})
    (defect,) = defects(CLEAN, broken)
    assert f"Xid {number}" in defect.text
    assert defects(broken, broken) == ()
    assert len(defects(broken, replace(broken, epoch="two"))) == 1


numbers = st.dictionaries(st.sampled_from([*SETTINGS, *COUNTERS, *FAULTS, "other"]), st.integers(0, 9), max_size=6)
processes = st.none() | st.lists(
    st.builds(GpuProcess, st.sampled_from([1, JOB, STRANGER, DEAD]), st.none() | st.integers(0, 1 << 40)), max_size=4
).map(tuple)
states = st.builds(
    GpuState,
    uuid=st.just("GPU-a"),
    processes=processes,
    vram_used_bytes=st.none() | st.integers(0, 1 << 40),
    settings=numbers,
    counters=numbers,
    faults=numbers,
    epoch=st.sampled_from(["one", "two"]),
    xids=st.dictionaries(st.sampled_from(["31", "48", "79"]), st.integers(0, 3)),
)


@given(states, states)
def test_what_is_not_known_never_counts(before: GpuState, after: GpuState) -> None:
    """Whatever is found is found by values that both sides have."""
    found = defects(before, after)
    assert defects(before, replace(GpuState("GPU-a"), epoch=after.epoch)) == ()
    blind = replace(before, processes=None, vram_used_bytes=None, settings={}, counters={})
    only_new = [each for each in defects(blind, after) if "process" not in each.text]
    assert all("Xid" in each.text or any(title in each.text for title in FAULTS.values()) for each in only_new)
    assert len({each.text for each in found}) <= len(found)
