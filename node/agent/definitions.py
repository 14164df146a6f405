"""The definitions of jobs at hand, one file per run, until the run is settled.

A definition may hold logins; so it is in no journal, which is kept for years, but in a file that nobody else can read
and that is removed once the run is settled.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from node.errors import JournalError
from node.marks import Mark, marked
from node.records import Address

_HINT = "see that the data folder's disk works and has room"
_NAME = re.compile(r"[1-9A-HJ-NP-Za-km-z]{1,64}")


class DefinitionFiles:
    """`data/definitions/<run>.json`, mode 0600. Methods raise JournalError when the folder cannot be used."""

    def __init__(self, folder: Path, relieve: Callable[[], bool] = lambda: False) -> None:
        """`relieve` frees some space when the disk is full, and says whether it could."""
        self._folder = folder
        self._relieve = relieve

    async def keep(self, run: Address, body: bytes) -> None:
        """Keep a definition; it is on disk when this returns."""
        try:
            with marked(Mark.DEFINITION_KEEP):
                await asyncio.to_thread(self._write, run, body)
        except OSError as error:
            raise JournalError(f"the definition of run {run} cannot be kept: {error.strerror}", hint=_HINT) from None

    async def read(self, run: Address) -> bytes | None:
        """A definition that was kept; None where there is none."""
        try:
            return await asyncio.to_thread(self._path(run).read_bytes)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise JournalError(f"the definition of run {run} cannot be read: {error.strerror}", hint=_HINT) from None

    async def drop(self, run: Address) -> None:
        """Remove a definition; harmless where there is none."""
        try:
            with marked(Mark.DEFINITION_DROP):
                await asyncio.to_thread(self._path(run).unlink, missing_ok=True)
        except OSError as error:
            raise JournalError(f"the definition of run {run} cannot be removed: {error.strerror}", hint=_HINT) from None

    async def sweep(self, runs: Iterable[Address]) -> None:
        """Remove what belongs to none of these runs: another journal's, or half a file of a life that was cut off."""
        names = {self._path(run).name for run in runs}
        try:
            await asyncio.to_thread(self._sweep, names)
        except OSError as error:
            raise JournalError(f"{self._folder} cannot be swept: {error.strerror}", hint=_HINT) from None

    def _path(self, run: Address) -> Path:
        if not _NAME.fullmatch(run):
            raise JournalError(f"{run!r} is no run's address", hint="report this as a bug")
        return self._folder / f"{run}.json"

    def _write(self, run: Address, body: bytes) -> None:
        path = self._path(run)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        while True:
            try:
                return _replace(path, body)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT) or not self._relieve():
                    raise

    def _sweep(self, names: set[str]) -> None:
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name not in names:
                    path.unlink(missing_ok=True)


def _replace(path: Path, body: bytes) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    # The rename itself is durable only once the folder is.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
