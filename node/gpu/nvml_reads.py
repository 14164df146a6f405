"""Single reads of the driver, each of which may not be offered. Part of the helper process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

GPU_IS_LOST = 15
"""NVML_ERROR_GPU_IS_LOST: the device fell off the bus; not something that it "does not offer"."""
RESET_REQUIRED = 16
"""NVML_ERROR_RESET_REQUIRED: it does nothing more until it is reset."""
GONE = (GPU_IS_LOST, RESET_REQUIRED)

Row = dict[str, Any]


class Reads:
    """What every kind of look at the driver has in common."""

    def __init__(self, library: Any) -> None:
        self.nvml = library

    def offer(self, read: Callable[[], Any]) -> Any:
        """The value, or {"unavailable": why}; a GPU that is gone is an error of its own. What an older binding or
        driver does not know by name is not offered either."""
        try:
            return read()
        except self.nvml.NVMLError as error:
            if code_of(error) in GONE:
                raise
            return {"unavailable": str(error)}
        except AttributeError as error:
            return {"unavailable": str(error)}

    def numbers(self, reads: dict[str, Callable[[], Any]]) -> dict[str, int]:
        """Those that are offered."""
        found = {name: self.offer(read) for name, read in reads.items()}
        return {name: int(value) for name, value in found.items() if isinstance(value, (int, bool))}

    def each(self, uuids: Sequence[str], read: Callable[[str], Row]) -> list[Row]:
        """A row for each; one that cannot be read hides none of the others. Raises where none can."""
        rows: list[Row] = []
        failure: Exception | None = None
        for uuid in uuids:
            try:
                rows.append(read(uuid))
            except self.nvml.NVMLError as error:
                failure = error
                rows.append({"uuid": uuid, "failed": {"code": code_of(error), "message": str(error)}})
        if failure is not None and all("failed" in row for row in rows):
            raise failure
        return rows

    def parent(self, device: Any) -> Any:
        """The GPU that a MIG device is part of; None: it is a whole GPU."""
        nvml = self.nvml
        try:
            if not nvml.nvmlDeviceIsMigDeviceHandle(device):
                return None
            return nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(device)
        except nvml.NVMLError as error:
            if code_of(error) in GONE:
                raise
        except AttributeError:
            pass
        return None

    def partitions(self, device: Any) -> list[Any]:
        """The handles of a GPU's MIG devices; none where it is not divided."""
        nvml = self.nvml
        try:
            most = nvml.nvmlDeviceGetMaxMigDeviceCount(device)
        except nvml.NVMLError as error:
            if code_of(error) in GONE:
                raise
            return []
        found = []
        for index in range(most):
            try:
                found.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(device, index))
            except nvml.NVMLError as error:
                if code_of(error) in GONE:
                    raise
        return found


def code_of(error: Exception) -> int | None:
    """NVML's number of an error."""
    value = getattr(error, "value", None)
    return value if isinstance(value, int) else None


def text(value: str | bytes) -> str:
    """What is no UTF-8 becomes a replacement character: names end up in signed documents."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value.encode("utf-8", "replace").decode()


def name(read: Callable[[], str | bytes]) -> str:
    """As `text`, of a read; newer bindings decode by themselves, and may fail at it."""
    try:
        return text(read())
    except UnicodeDecodeError as error:
        return text(error.object)
