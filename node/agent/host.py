"""What this host is: the facts of its NodeAccount and host card, measured and not stated from memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import mmap
import os
import platform
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from node.bounded_json import read_json
from node.errors import SettingsError
from node.records import NodeProfile

ARCHITECTURES = {
    "x86_64": 0,
    "amd64": 0,
    "armv6l": 1,
    "armv7l": 2,
    "aarch64": 3,
    "arm64": 3,
    "ppc64le": 5,
    "s390x": 6,
    "mips64": 7,
    "riscv64": 8,
    "i386": 9,
    "i686": 9,
}
"""Machine names of the kernel to the nodes program's numbers (Nosana nodes program)."""
GIB = 1024**3
U16 = 65_535
"""The account's fields for IOPS, memory, CPUs, GPUs and storage are 16 bits wide (Nosana nodes program)."""
MEASURED_FOR = 86_400.0
"""Seconds a measurement of the disk is used again."""
BLOCK = 4096
TEST_BYTES = 64 * 1024 * 1024
TEST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class DiskSpeed:
    """A measurement of the disk that holds the data folder."""

    iops: int
    """Random 4 KiB reads a second, one at a time."""
    direct: bool
    """Whether the page cache was bypassed; if not, the number says more of memory than of the disk."""
    measured_at: float


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What was found on this host."""

    machine: str
    """The kernel's name of the processor architecture."""
    architecture: int
    """The nodes program's number of it."""
    cpus: int
    memory_bytes: int
    storage_bytes: int
    """Size of the file system that holds the data folder."""
    disk: DiskSpeed
    kernel: str

    def profile(self, *, country: int, gpus: int, endpoint: str, version: str) -> NodeProfile:
        """The facts as a NodeAccount takes them: GiB, at least 1, at most 16 bits."""
        return NodeProfile(
            architecture=self.architecture,
            country=country,
            cpu=_field(self.cpus),
            gpu=min(gpus, U16),
            memory=_field(round(self.memory_bytes / GIB)),
            iops=_field(self.disk.iops),
            storage=_field(self.storage_bytes // GIB),
            endpoint=endpoint,
            icon="",
            version=version,
        )


async def measure_host(data: Path, *, now: Callable[[], float] = time.time) -> HostFacts:
    """Look at the host; the disk is measured once a day and remembered in the data folder.

    Raises SettingsError for a processor the network has no number for, or a data folder that cannot be used.
    """
    return await asyncio.to_thread(_measure, data, now)


def _measure(data: Path, now: Callable[[], float]) -> HostFacts:
    machine = platform.machine().lower()
    if machine not in ARCHITECTURES:
        raise SettingsError(f"processor {machine!r} has no number on the network", hint="use another host")
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        disk = _remembered(data, now()) or _measure_disk(data, now())
        storage = shutil.disk_usage(data).total
    except OSError as error:
        raise SettingsError(
            f"{data}: the data folder cannot be used: {error.strerror or error}",
            hint="check paths.data, its permissions and free space",
        ) from None
    return HostFacts(
        machine=machine,
        architecture=ARCHITECTURES[machine],
        cpus=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        storage_bytes=storage,
        disk=disk,
        kernel=platform.release(),
    )


def _field(value: int) -> int:
    return max(1, min(value, U16))


def _cache_file(data: Path) -> Path:
    return data / "disk-speed.json"


def _remembered(data: Path, now: float) -> DiskSpeed | None:
    try:
        speed = DiskSpeed(**read_json(_cache_file(data).read_bytes(), limit=1 << 16))
        return speed if 0 <= now - speed.measured_at < MEASURED_FOR and speed.iops > 0 else None
    except (OSError, ValueError, TypeError):
        return None


def _measure_disk(data: Path, now: float) -> DiskSpeed:
    descriptor, name = tempfile.mkstemp(dir=data, prefix=".speed-")
    try:
        _fill(descriptor)
        os.close(descriptor)
        speed = _read_randomly(name, now)
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
        Path(name).unlink(missing_ok=True)
    _cache_file(data).write_text(json.dumps(asdict(speed)), "utf-8")
    return speed


def _fill(descriptor: int) -> None:
    # Random bytes, because some file systems store zeroes and repetitions without reading them back.
    piece = random.randbytes(1024 * 1024)  # noqa: S311 (content of a test file)
    for _ in range(TEST_BYTES // len(piece)):
        os.write(descriptor, piece)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _read_randomly(name: str, now: float) -> DiskSpeed:
    """Read blocks at random places for a second; past the page cache where the file system allows."""
    try:
        descriptor, direct = os.open(name, os.O_RDONLY | os.O_DIRECT), True
    except OSError:
        descriptor, direct = os.open(name, os.O_RDONLY), False
    try:
        # Memory of a mapping is aligned to pages, as reads past the cache demand.
        with mmap.mmap(-1, BLOCK) as buffer:
            blocks = TEST_BYTES // BLOCK
            count = 0
            started = time.perf_counter()
            while (elapsed := time.perf_counter() - started) < TEST_SECONDS:
                os.preadv(descriptor, [buffer], random.randrange(blocks) * BLOCK)  # noqa: S311 (a place to read)
                count += 1
    finally:
        os.close(descriptor)
    return DiskSpeed(iops=max(1, min(round(count / elapsed), U16)), direct=direct, measured_at=now)
