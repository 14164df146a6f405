"""NVIDIA's numbers for errors of a GPU (Xid), as far as they are the GPU's own and not the program's.

13, 31, 43 and 45, say, are the program's; 63 and 94 ask for nothing that the memory's own state does not tell.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Xid:
    """One of them."""

    title: str
    remedy: str
    """What brings the GPU back, as a person would do it."""


RESET = "reset the GPU (nvidia-smi --gpu-reset, with nothing using it, this agent included) or reboot"
REBOOT = "reboot; where that does not help, power off, and see to the card's seat, riser and power cables"

BROKEN = {
    48: Xid("double-bit memory error", RESET),
    62: Xid("internal microcontroller halted", RESET),
    64: Xid("memory row could not be remapped", RESET),
    74: Xid("NVLink error", RESET),
    79: Xid("fell off the bus", REBOOT),
    95: Xid("uncontained memory error", RESET),
    119: Xid("GSP does not answer", RESET),
    120: Xid("GSP error", RESET),
    140: Xid("unrecovered memory error", RESET),
}


def describe(number: int) -> str:
    """For people."""
    known = BROKEN.get(number)
    return f"Xid {number}" + (f" ({known.title})" if known else "")
