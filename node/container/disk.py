"""The disk that images and containers fill."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from node.container.engine import Engine


@dataclass(frozen=True, slots=True)
class DiskUsage:
    """Bytes of a file system."""

    total: int
    free: int
    """For users without special rights."""


class EngineDisk:
    """The file system of the engine's data; where that folder cannot be seen from here, of the agent's own."""

    def __init__(self, engine: Engine, otherwise: Path) -> None:
        self._engine = engine
        self._otherwise = otherwise
        self._folder: Path | None = None

    async def usage(self) -> DiskUsage:
        """As it is now. Raises EngineUnavailable while the engine has never said where its data are, and OSError
        where neither folder can be read."""
        return await asyncio.to_thread(_usage, await self._place(), self._otherwise)

    async def holds(self, folder: Path) -> bool:
        """Whether a folder is on the same file system. Raises as `usage` does."""
        return await asyncio.to_thread(_same, await self._place(), self._otherwise, folder)

    async def _place(self) -> Path:
        if self._folder is None:
            self._folder = Path((await self._engine.info()).root_dir or self._otherwise)
        return self._folder


def _usage(folder: Path, otherwise: Path) -> DiskUsage:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        usage = shutil.disk_usage(otherwise)
    return DiskUsage(total=usage.total, free=usage.free)


def _same(engine: Path, otherwise: Path, folder: Path) -> bool:
    try:
        device = engine.stat().st_dev
    except OSError:
        device = otherwise.stat().st_dev
    return folder.stat().st_dev == device
