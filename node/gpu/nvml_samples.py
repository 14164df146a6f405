"""What GPUs measure at the moment: the look that is taken every second, and so is kept light. Part of the helper
process."""

from __future__ import annotations

from typing import Any

from node.gpu.nvml_reads import Reads, Row, text
from node.gpu.nvml_xids import XidCollector

_SHARED = {"unavailable": "measured for the whole GPU, which this is a part of"}


class Samples:
    """Takes them; remembers the driver's handles."""

    def __init__(self, library: Any, xids: XidCollector) -> None:
        self._reads = Reads(library)
        self._xids = xids
        self._handles: dict[str, tuple[Any, Any, str]] = {}
        """By UUID: the device, the GPU it is part of or None, and that GPU's UUID or its own."""

    def read(self, uuids: list[str]) -> list[Row]:
        """Millijoules since the driver was loaded, milliwatts, percent, bytes, degrees Celsius, MHz, NVML's mask of
        throttle reasons, memory errors since the driver was loaded, and reported errors by number."""
        self._xids.collect()
        return self._reads.each(uuids, self._measures)

    def _measures(self, uuid: str) -> Row:
        nvml, offer = self._reads.nvml, self._reads.offer
        device, parent, whole_uuid = self._handle(uuid)
        # A part of a GPU is as warm and as slowed down as the whole, but it does not use the whole's energy.
        whole = device if parent is None else parent
        own = parent is None
        return {
            "uuid": uuid,
            "energy_mj": offer(lambda: int(nvml.nvmlDeviceGetTotalEnergyConsumption(device))) if own else _SHARED,
            "power_mw": offer(lambda: int(nvml.nvmlDeviceGetPowerUsage(device))) if own else _SHARED,
            "utilisation": offer(lambda: int(nvml.nvmlDeviceGetUtilizationRates(device).gpu)) if own else _SHARED,
            "memory_bytes": offer(lambda: int(nvml.nvmlDeviceGetMemoryInfo(device).used)),
            "temperature": offer(lambda: int(nvml.nvmlDeviceGetTemperature(whole, 0))),  # NVML_TEMPERATURE_GPU
            "clock_mhz": offer(lambda: int(nvml.nvmlDeviceGetClockInfo(whole, 1))),  # NVML_CLOCK_SM
            "throttle": offer(lambda: self._throttle(whole)),
            # NVML_MEMORY_ERROR_TYPE_CORRECTED and _UNCORRECTED, NVML_VOLATILE_ECC
            "ecc_corrected": offer(lambda: int(nvml.nvmlDeviceGetTotalEccErrors(whole, 0, 0))),
            "ecc_uncorrected": offer(lambda: int(nvml.nvmlDeviceGetTotalEccErrors(whole, 1, 0))),
            "epoch": self._xids.epoch,
            "xid_counts": self._xids.of(whole_uuid),
        }

    def _throttle(self, device: Any) -> int:
        nvml = self._reads.nvml
        # Renamed in newer drivers; the older name goes away.
        read = getattr(nvml, "nvmlDeviceGetCurrentClocksThrottleReasons", None)
        return int((read or nvml.nvmlDeviceGetCurrentClocksEventReasons)(device))

    def _handle(self, uuid: str) -> tuple[Any, Any, str]:
        known = self._handles.get(uuid)
        if known is None:
            nvml = self._reads.nvml
            device = nvml.nvmlDeviceGetHandleByUUID(uuid)
            parent = self._reads.parent(device)
            whole = uuid if parent is None else text(nvml.nvmlDeviceGetUUID(parent))
            known = self._handles[uuid] = (device, parent, whole)
        return known
