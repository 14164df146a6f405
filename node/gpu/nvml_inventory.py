"""Which GPUs there are, and their fixed facts. Part of the helper process."""

from __future__ import annotations

from typing import Any

from node.gpu.nvml_reads import GONE, Reads, Row, code_of, name, text


class Inventory:
    """Reads it."""

    def __init__(self, library: Any) -> None:
        self._reads = Reads(library)

    def read(self) -> list[Row]:
        """Each GPU's fixed facts, and in place of one that is divided those of its MIG devices. One that is lost is
        `{"lost": index}`, for those beside it go on working; where all are lost that is the error."""
        nvml = self._reads.nvml
        rows: list[Row] = []
        lost = None
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                rows += self._device(index)
            except nvml.NVMLError as error:
                if code_of(error) not in GONE:
                    raise
                rows.append({"lost": index})
                lost = error
        if lost is not None and all("lost" in row for row in rows):
            raise lost
        return rows

    def _device(self, index: int) -> list[Row]:
        device = self._reads.nvml.nvmlDeviceGetHandleByIndex(index)
        facts = self._facts(index, device)
        divided = self._reads.partitions(device) if facts["mig_mode"] == 1 else []
        return [self._partition(facts, part) for part in divided] or [facts]

    def _facts(self, index: int, device: Any) -> Row:
        nvml, offer = self._reads.nvml, self._reads.offer
        return {
            "index": index,
            "uuid": text(nvml.nvmlDeviceGetUUID(device)),
            "name": name(lambda: nvml.nvmlDeviceGetName(device)),
            "vram_bytes": offer(lambda: int(nvml.nvmlDeviceGetMemoryInfo(device).total)),
            "compute_capability": offer(lambda: ".".join(map(str, nvml.nvmlDeviceGetCudaComputeCapability(device)))),
            "power_limit_mw": offer(lambda: int(nvml.nvmlDeviceGetEnforcedPowerLimit(device))),
            "driver": offer(lambda: text(nvml.nvmlSystemGetDriverVersion())),
            "cuda": offer(lambda: _cuda_version(nvml.nvmlSystemGetCudaDriverVersion())),
            "power_default_mw": offer(lambda: int(nvml.nvmlDeviceGetPowerManagementDefaultLimit(device))),
            "power_most_mw": offer(lambda: int(nvml.nvmlDeviceGetPowerManagementLimitConstraints(device)[1])),
            "pcie_width_most": offer(lambda: int(nvml.nvmlDeviceGetMaxPcieLinkWidth(device))),
            "pcie_generation_most": offer(lambda: int(nvml.nvmlDeviceGetMaxPcieLinkGeneration(device))),
            # NVML_TEMPERATURE_THRESHOLD_SLOWDOWN, _SHUTDOWN
            "slowdown_temperature": offer(lambda: int(nvml.nvmlDeviceGetTemperatureThreshold(device, 1))),
            "shutdown_temperature": offer(lambda: int(nvml.nvmlDeviceGetTemperatureThreshold(device, 0))),
            "bus_id": offer(lambda: text(nvml.nvmlDeviceGetPciInfo(device).busId)),
            "ecc_mode": offer(lambda: int(nvml.nvmlDeviceGetEccMode(device)[0])),
            "mig_mode": offer(lambda: int(nvml.nvmlDeviceGetMigMode(device)[0])),
            "persistence": offer(lambda: int(nvml.nvmlDeviceGetPersistenceMode(device))),
            "compute_mode": offer(lambda: int(nvml.nvmlDeviceGetComputeMode(device))),
        }

    def _partition(self, whole: Row, device: Any) -> Row:
        """A MIG device; what is not told of it alone is the whole GPU's."""
        nvml, offer = self._reads.nvml, self._reads.offer
        attributes = offer(lambda: nvml.nvmlDeviceGetAttributes_v2(device))
        known = not isinstance(attributes, dict)
        return {
            **whole,
            "uuid": text(nvml.nvmlDeviceGetUUID(device)),
            "name": name(lambda: nvml.nvmlDeviceGetName(device)),
            "vram_bytes": offer(lambda: int(nvml.nvmlDeviceGetMemoryInfo(device).total)),
            "parent": whole["uuid"],
            "slices": int(attributes.gpuInstanceSliceCount) if known else attributes,
        }


def _cuda_version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"
