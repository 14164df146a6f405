"""A file that holds back disk space, so that a full disk does not keep the agent from settling what was done.

Its blocks are real. When the journal or a result cannot be written for lack of space, a part of it is given up, in
parts because whatever filled the disk may take what is freed; it is filled up again when there is room.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Protocol

from node.errors import ContentError
from node.records import Cid

log = logging.getLogger(__name__)

PARTS = 8
"""How often something is given up before nothing is left."""
_CHUNK = 1024 * 1024


class Ballast:
    """The file. Its methods block, and may be called from any thread."""

    def __init__(self, path: Path, size: int) -> None:
        """`size` in bytes; 0: no ballast at all."""
        self._path = path
        self._size = size
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes it should have."""
        return self._size

    @property
    def held(self) -> int:
        """Bytes it has now."""
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing was given up, or all of it is back."""
        return self.held >= self._size

    def relieve(self) -> bool:
        """Give up a part; False when nothing is left to give."""
        with self._lock:
            held = self.held
            left = max(0, held - max(self._size // PARTS, 1))
            if held == 0:
                return False
            try:
                if left:
                    os.truncate(self._path, left)
                else:
                    self._path.unlink()
            except OSError as error:
                log.warning("%s cannot be given up: %s", self._path, error.strerror or error)
                return False
        log.warning("the disk is full: %s gives up %s bytes so that jobs can still be settled", self._path, held - left)
        return True

    def restore(self, reserve: int = 0) -> bool:
        """Fill it up where at least `reserve` bytes stay free then; whether it is whole."""
        with self._lock:
            held = self.held
            missing = self._size - held
            if missing <= 0:
                self._cut()
                return True
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                if free_bytes(self._path.parent) < missing + max(reserve, missing):
                    return False
                self._fill(held)
            except OSError as error:
                log.debug("no ballast at %s: %s", self._path, error)
                return False
        return True

    def _cut(self) -> None:
        """To the size set, where it was larger once."""
        if self.held > self._size:
            try:
                os.truncate(self._path, self._size)
                if not self._size:
                    self._path.unlink()
            except OSError as error:
                log.warning("%s cannot be made smaller: %s", self._path, error.strerror or error)

    def _fill(self, held: int) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            while held < self._size:
                # Random, because some file systems store neither zeroes nor repetitions.
                held += os.write(descriptor, os.urandom(min(_CHUNK, self._size - held)))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def free_bytes(folder: Path) -> int:
    """What an ordinary user can still write there. Raises OSError."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class _Drawer(Protocol):
    async def add_file(self, name: str, data: bytes) -> Cid: ...

    async def fetch(self, cid: Cid, limit: int) -> bytes: ...


class RelievedDrawer:
    """A folder of content that may use the ballast: without its result a job's pay would wait for the disk."""

    def __init__(self, drawer: _Drawer, folder: Path, ballast: Ballast) -> None:
        """`folder`: on the disk of the drawer."""
        self._drawer = drawer
        self._folder = folder
        self._ballast = ballast

    async def add_file(self, name: str, data: bytes) -> Cid:
        """Keep the bytes durably. Raises a ContentError."""
        while True:
            try:
                return await self._drawer.add_file(name, data)
            except ContentError:
                if not self._is_short(len(data)) or not self._ballast.relieve():
                    raise

    async def fetch(self, cid: Cid, limit: int) -> bytes:
        """The bytes, proven to match. Raises a ContentError."""
        return await self._drawer.fetch(cid, limit)

    def _is_short(self, wanted: int) -> bool:
        try:
            return free_bytes(self._folder) < wanted + _CHUNK
        except OSError:
            return False
