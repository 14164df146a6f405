"""The errors that the driver reports as events (Xid). Part of the helper process."""

from __future__ import annotations

import contextlib
import os
import time
from typing import Any

from node.gpu.nvml_reads import text

_MOST_EVENTS = 4096
"""Reported errors taken at once: a program can cause them as fast as it likes."""


class XidCollector:
    """Counts them by GPU, from its first call on."""

    def __init__(self, library: Any) -> None:
        self._nvml = library
        self._events: Any = None
        self._counts: dict[str, dict[int, int]] = {}
        self.epoch = f"{os.getpid()}-{time.monotonic_ns()}"
        """Names the life of this process."""

    def of(self, uuid: str) -> dict[int, int]:
        """How often which error was reported of this GPU, or by this MIG device."""
        return self._counts.get(uuid, {})

    def collect(self) -> None:
        """Take the errors that the driver has reported since the last time; what it does not report stays unknown."""
        nvml = self._nvml
        try:
            if self._events is None:
                self._events = nvml.nvmlEventSetCreate()
                for index in range(nvml.nvmlDeviceGetCount()):
                    # One that is lost must not keep the others' errors from being told.
                    with contextlib.suppress(nvml.NVMLError):
                        device = nvml.nvmlDeviceGetHandleByIndex(index)
                        nvml.nvmlDeviceRegisterEvents(device, nvml.nvmlEventTypeXidCriticalError, self._events)
            for _ in range(_MOST_EVENTS):
                event = nvml.nvmlEventSetWait_v2(self._events, 0)
                counts = self._counts.setdefault(text(nvml.nvmlDeviceGetUUID(event.device)), {})
                number = int(event.eventData)
                counts[number] = counts.get(number, 0) + 1
        except (nvml.NVMLError, AttributeError):  # none waits, or none are told of here
            return
