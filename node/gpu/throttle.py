"""Why a GPU's clocks are lower than they could be: NVML's bit mask, and words for it."""

from __future__ import annotations

REASONS = {
    0x2: "application_clocks",
    0x4: "power_cap",
    0x8: "hardware_slowdown",
    0x10: "sync_boost",
    0x20: "software_thermal",
    0x40: "hardware_thermal",
    0x80: "power_brake",
    0x100: "display_clocks",
    0x200: "board_limit",
    0x400: "reliability",
}
"""nvmlClocksEventReason…; bit 1 is an idle GPU's, and no reason to tell."""
HEAT = 0x20 | 0x40
BRAKE = 0x80
SLOWDOWN = 0x8
"""Of the hardware, without a word of whether heat or power is the cause."""
UNWANTED = HEAT | BRAKE | SLOWDOWN
"""What no owner sets on purpose, as a power cap or clocks are."""


def reasons(mask: int) -> tuple[str, ...]:
    """The names of the mask's bits, in their order; unknown ones by number."""
    known = [name for bit, name in REASONS.items() if mask & bit]
    rest = mask & ~(1 | sum(REASONS))
    return (*known, f"reason_0x{rest:x}") if rest else tuple(known)
