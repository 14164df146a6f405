"""What a job has left behind on a GPU: the state before it beside the state after it. Pure.

A value that one of the two does not offer says nothing, and is no defect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from node.gpu.state import GpuProcess, GpuState
from node.gpu.xids import BROKEN, describe

GIB = 1024**3


class Owner(StrEnum):
    """Whose a process is."""

    JOB = "job"
    """It runs in a container of the job."""
    AGENT = "agent"
    """It is this agent's own: a work proof's, say."""
    OTHER = "other"
    GONE = "gone"
    """There is no such process (any more)."""


OwnerOf = Callable[[int], Owner]

MIG_LAYOUT = "mig_layout"
SETTINGS = {
    "graphics_clock": ("the graphics clock for applications", "MHz", "nvidia-smi -rac"),
    "memory_clock": ("the memory clock for applications", "MHz", "nvidia-smi -rac"),
    "graphics_offset": ("the graphics clock's offset", "MHz", ""),
    "memory_offset": ("the memory clock's offset", "MHz", ""),
    "power_limit": ("the power limit", "mW", "nvidia-smi -pl"),
    "compute_mode": ("the compute mode", "", "nvidia-smi -c DEFAULT"),
    "persistence": ("persistence mode", "", "nvidia-smi -pm"),
    "ecc_mode": ("the ECC mode", "", ""),
    "mig_mode": ("the MIG mode", "", ""),
    MIG_LAYOUT: ("the division into MIG devices", "", "nvidia-smi mig"),
}
"""What it is called, its unit, the command that sets it."""
COUNTERS = {
    "ecc_volatile": "uncorrected memory errors since the driver was loaded",
    "ecc_aggregate": "uncorrected memory errors in all",
}
FAULTS = {
    "retirement_pending": "memory pages wait to be retired",
    "remap_pending": "memory rows wait to be remapped",
    "remap_failure": "memory rows could not be remapped",
    "recovery_action": "the driver asks for a reset or a reboot",
}
RESET_HINT = "see nvidia-smi -q; reset the GPU (nvidia-smi -r) or reboot, then gpunode resume"


@dataclass(frozen=True, slots=True)
class Defect:
    """Something that is not as it was."""

    text: str
    hint: str
    lasting: bool
    """Whether it does not go away by itself within a while."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two states say of the job between them."""

    defects: tuple[Defect, ...]
    strangers: tuple[GpuProcess, ...]
    """Processes that came in between and are not the job's."""


def compare(before: GpuState, after: GpuState, owner: OwnerOf, slack: int) -> Comparison:
    """`owner` tells whose a process is; `slack`: bytes of the GPU's memory that may be in use beyond what was."""
    there_before = {each.pid for each in before.processes or ()}
    new = [each for each in after.processes or () if each.pid not in there_before]
    whose = {each.pid: owner(each.pid) for each in new}
    left = [each for each in new if whose[each.pid] is Owner.JOB]
    strangers = tuple(each for each in new if whose[each.pid] is Owner.OTHER)
    found = [
        *(
            Defect(
                f"process {each.pid} of the job still uses {after.uuid}",
                f"see nvidia-smi; kill {each.pid} if it stays",
                lasting=False,
            )
            for each in left
        ),
        *_memory(before, after, strangers, slack),
        *_settings(before, after),
        *_failures(before, after),
    ]
    return Comparison(tuple(found), strangers)


def _memory(before: GpuState, after: GpuState, strangers: tuple[GpuProcess, ...], slack: int) -> Iterator[Defect]:
    if before.vram_used_bytes is None or after.vram_used_bytes is None:
        return
    others = _others(before, after, strangers)
    if others is None:
        return  # part of it is somebody else's, and nobody says how much
    excess = after.vram_used_bytes - before.vram_used_bytes - others
    if excess > slack:
        yield Defect(
            f"{excess / GIB:.2f} GiB of the memory of {after.uuid} are still in use that were free before the job",
            "see nvidia-smi for who holds them; a reset of the GPU (nvidia-smi -r) frees what nobody holds",
            lasting=False,
        )


def _others(before: GpuState, after: GpuState, strangers: tuple[GpuProcess, ...]) -> int | None:
    """Bytes by which the use of everybody but the job has grown; None: not known."""
    if after.processes is None:
        return 0
    then = {each.pid: each.used_bytes for each in before.processes or ()}
    grown = 0
    for each in after.processes:
        if each in strangers:
            earlier: int | None = 0
        elif each.pid in then:
            earlier = then[each.pid]
            if earlier is None and each.used_bytes is None:
                continue  # one that never told; that it was there before is all there is to know
        else:
            continue
        if each.used_bytes is None or earlier is None:
            return None
        grown += max(0, each.used_bytes - earlier)
    return grown


def _settings(before: GpuState, after: GpuState) -> Iterator[Defect]:
    for name, (title, unit, command) in SETTINGS.items():
        then, now = before.settings.get(name), after.settings.get(name)
        if then is None or now is None or then == now:
            continue
        how = f" ({command})" if command else ""
        # The layout's number means nothing to people.
        values = "another than before the job" if name == MIG_LAYOUT else f"{now} {unit}".rstrip()
        was = "" if name == MIG_LAYOUT else f", and was {then} before the job"
        yield Defect(
            f"{title} of {after.uuid} is {values}{was}",
            f"set it back{how}; if it was you who changed it: gpunode resume",
            lasting=True,
        )


def _failures(before: GpuState, after: GpuState) -> Iterator[Defect]:
    for name, title in COUNTERS.items():
        then, now = before.counters.get(name), after.counters.get(name)
        if then is not None and now is not None and now > then:
            yield Defect(f"{after.uuid} has {now - then} new {title}", RESET_HINT, lasting=True)
    for name, title in FAULTS.items():
        if after.faults.get(name, 0) and not before.faults.get(name, 0):
            yield Defect(f"{after.uuid}: {title}", RESET_HINT, lasting=True)
    known = before.xids if before.epoch == after.epoch else {}
    for number in BROKEN:
        if after.xids.get(str(number), 0) > known.get(str(number), 0):
            yield Defect(f"{after.uuid} reported {describe(number)}", RESET_HINT, lasting=True)
