"""Which run uses which data: durable, so that a restart lets nothing go that a container has mounted."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from node.bounded_json import JsonRefused, read_json
from node.errors import ResourceFailed
from node.marks import Mark, marked

PIN_BYTES = 1 << 22
_RUN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Pin:
    """What one resource of a run was given."""

    key: str
    """Of the entry."""
    request: str
    """Hash of what was asked for: the same question has the same answer for as long as the run lasts."""
    size: int
    """Bytes."""
    copy: str = ""
    """Name of the run's own copy; empty: the entry itself is used."""


class Pins:
    """One file per run, read at the start and then kept in memory too."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._runs: dict[str, dict[str, Pin]] = {}

    def load(self) -> None:
        """Read all files. One that cannot be read is no pin: it was never written whole."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        for path in self._folder.iterdir():
            pins = _read(path) if path.suffix == ".json" else None
            if pins is None:
                path.unlink()
            else:
                self._runs[path.stem] = pins

    def of(self, run: str) -> Mapping[str, Pin]:
        """The pins of a run by slot."""
        return self._runs.get(run, {})

    @property
    def runs(self) -> tuple[str, ...]:
        """Every run that has one."""
        return tuple(self._runs)

    @property
    def keys(self) -> frozenset[str]:
        """Every entry in use. A copy does not need the entry that it was made from."""
        return frozenset(pin.key for pins in self._runs.values() for pin in pins.values() if not pin.copy)

    @property
    def copies(self) -> frozenset[str]:
        """Every copy in use."""
        return frozenset(pin.copy for pins in self._runs.values() for pin in pins.values() if pin.copy)

    def put(self, run: str, slot: str, pin: Pin) -> None:
        """Keep a pin, durably."""
        pins = {**self.of(run), slot: pin}
        # In memory first: what is about to be written must not be let go meanwhile.
        self._runs[run] = pins
        with marked(Mark.RESOURCE_PIN):
            _write(self._path(run), pins)

    def drop(self, run: str) -> None:
        """Forget a run's pins."""
        with marked(Mark.RESOURCE_UNPIN):
            self._path(run).unlink(missing_ok=True)
        self._runs.pop(run, None)

    def _path(self, run: str) -> Path:
        return self._folder / f"{require_run(run)}.json"


def require_run(run: str) -> str:
    """The run's name, if it can be that of a file. Raises ResourceFailed."""
    if not _RUN.fullmatch(run):
        raise ResourceFailed(f"{run!r} is no name of a run")
    return run


def _read(path: Path) -> dict[str, Pin] | None:
    try:
        rows = read_json(path.read_bytes(), limit=PIN_BYTES)
        return {slot: Pin(**row) for slot, row in rows.items()}
    except (OSError, JsonRefused, TypeError, AttributeError):
        return None


def _write(path: Path, pins: Mapping[str, Pin]) -> None:
    new = path.with_suffix(".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump({slot: asdict(pin) for slot, pin in pins.items()}, file)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make what was renamed in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
