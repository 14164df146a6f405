"""Settings of the engine, of what a job may use of this host, and of how it is kept inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from node.records import Egress, IsolationProfile, Limits
from node.settings_section import Section, Size, parse_size

Runtime = Literal["runc", "runsc"]


class IsolationRule(Section):
    """Which jobs are kept otherwise than the engine's settings say; the first rule that fits a job counts."""

    posters: tuple[str, ...] = ()
    """Addresses; empty: every poster."""
    images: tuple[str, ...] = ()
    """Shell-style patterns of image names; empty: every image."""
    profile: IsolationProfile | None = None
    """None: `engine.profile`."""
    runtime: Runtime | None = None
    """None: `engine.runtime`."""
    egress: Egress | None = None
    """None: `network.egress`."""


class EngineSettings(Section):
    """The container engine."""

    socket: Path = Path("/var/run/docker.sock")
    runtime: Runtime = "runc"
    """Also the name of the engine's runtime; `runsc` is gVisor's, with a kernel of its own for each job."""
    profile: IsolationProfile = IsolationProfile.STANDARD
    allow_unconfined: bool = False
    """A relaxation: serve although the engine confines system calls (seccomp) with no profile."""
    stop_grace: float = Field(default=10.0, ge=0)
    """Seconds between SIGTERM and SIGKILL."""


class LimitSettings(Section):
    """What one job may use of this host. Memory, log and disk are the job's; the others each of its containers'."""

    memory: Size | None = None
    """Memory and swap together; by default 80 % of the host's memory divided by the number of lanes."""
    pids: int = Field(default=4096, gt=0)
    cpus: float | None = Field(default=None, gt=0)
    """Processors; by default the host's divided by the number of lanes."""
    shm: Size = "2 GiB"
    open_files: int = Field(default=65_536, gt=0)
    log: Size = "256 MiB"
    """Log bytes kept per job; beyond them the log is cut and the result says so."""
    disk_free: Size = "10 GiB"
    """Free space the host must have before a job is accepted, and keeps beside all that jobs were promised."""
    disk_job: Size = "2 GiB"
    """Disk promised to a job for what it writes, its log included; its image comes on top."""
    disk_most: Size = "50 GiB"
    """A job that has written more is stopped, and so is one over `disk_job` once the disk has less than `disk_free`
    left; 0: no limit, a relaxation."""
    inodes: int = Field(default=1_000_000, ge=0)
    """Files and folders a job may make on the disk before it is stopped; 0: no limit, a relaxation."""
    disk_image: Size = "8 GiB"
    """Disk promised for an image that is not here and whose registry does not tell its size."""
    image_cache: Size | None = None
    """Bytes of images kept that the agent pulled; by default half of the engine's disk, at most 100 GiB."""

    @field_validator("memory", "shm", "log", "disk_free", "disk_job", "disk_most", "disk_image", "image_cache")
    @classmethod
    def _size(cls, value: Size | None) -> int | None:
        return None if value is None else parse_size(value)

    def for_lane(self, lanes: int) -> Limits:
        """The limits of one container when `lanes` lanes share the host."""
        host_memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        host_cpus = float(os.cpu_count() or 1)
        memory = parse_size(self.memory) if self.memory is not None else int(host_memory * 0.8 / max(lanes, 1))
        return Limits(
            memory_bytes=memory,
            pids=self.pids,
            cpus=self.cpus if self.cpus is not None else max(host_cpus / max(lanes, 1), 0.5),
            shm_bytes=parse_size(self.shm),
            open_files=self.open_files,
            log_bytes=parse_size(self.log),
            disk_bytes=parse_size(self.disk_most) or None,
            inodes=self.inodes or None,
        )

    @property
    def disk_free_bytes(self) -> int:
        """Free space required before a job is accepted, in bytes."""
        return parse_size(self.disk_free)

    @property
    def disk_job_bytes(self) -> int:
        """Disk promised to a job for what it writes, in bytes."""
        return parse_size(self.disk_job)

    @property
    def disk_most_bytes(self) -> int:
        """Disk a job may fill before it is stopped, in bytes; 0: no limit."""
        return parse_size(self.disk_most)

    @property
    def disk_image_bytes(self) -> int:
        """Disk promised for an image of unknown size, in bytes."""
        return parse_size(self.disk_image)

    @property
    def image_cache_bytes(self) -> int | None:
        """Bytes of pulled images kept; None: by the disk's size."""
        return None if self.image_cache is None else parse_size(self.image_cache)
