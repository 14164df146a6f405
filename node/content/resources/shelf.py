"""The folder of remote data: whole entries by key, downloads under way, copies of runs; bounded in bytes.

    entries/KEY/data    what is mounted; complete from the moment it is there
    partial/KEY/        a download under way or cut off
    copies/NAME/data    a run's own copy
    pins/RUN.json       who uses what (`pins.py`)
    trash/              on its way out

An entry's key is a keyed hash of the question, of what the source said its content is, and of the login: only who has
the same login meets the same entry, and no name on the disk tells a login to who can guess one. The folders can be
passed through but not listed (0711): an engine that maps its users reaches what is mounted, other users of the host
would have to know a key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from node.content.resources.pins import sync_folder
from node.content.resources.wire import Request
from node.errors import ResourceFailed
from node.marks import Mark, marked

_FOLDERS = ("entries", "partial", "copies", "trash")
_SALT_BYTES = 32


class Shelf:
    """The folder. All calls block on the disk and come from one thread at a time."""

    def __init__(self, root: Path, *, budget: int) -> None:
        """`budget`: bytes of everything in it."""
        self._root = root
        self._budget = budget
        self._salt = b""
        self._sizes: dict[str, int] = {}
        """Of entries and copies, by folder and name."""
        self._claims: dict[str, int] = {}
        """Of downloads and copies under way."""

    def open(self) -> None:
        """Make the folders and see what is there. Raises OSError."""
        self._root.mkdir(parents=True, exist_ok=True)
        self._root.chmod(0o711)
        for name in _FOLDERS:
            (self._root / name).mkdir(exist_ok=True)
            (self._root / name).chmod(0o711)
        self._salt = _kept_salt(self._root / "salt")
        for left in (self._root / "trash").iterdir():
            _remove(left)
        for folder in ("entries", "copies"):
            for path in (self._root / folder).iterdir():
                if path.name.endswith(".new"):
                    _remove(path)
                else:
                    self._sizes[f"{folder}/{path.name}"] = _size(path)

    def key(self, request: Request, fingerprint: str) -> str:
        """The key of what a request leads to."""
        asked = request.model_dump(mode="json", exclude={"bounds", "denied", "login"})
        said = json.dumps([asked, fingerprint, request.login.secrets], sort_keys=True)
        return hmac.new(self._salt, said.encode(), hashlib.sha256).hexdigest()

    def question(self, request: Request) -> str:
        """A hash of the request alone."""
        return self.key(request, "")

    def entry(self, key: str) -> Path | None:
        """The folder to mount, if the entry is there; it counts as used now."""
        path = self._root / "entries" / key
        if f"entries/{key}" not in self._sizes:
            return None
        try:
            os.utime(path)
        except FileNotFoundError:
            # Somebody has tidied up by hand.
            del self._sizes[f"entries/{key}"]
            return None
        return path / "data"

    def size(self, key: str) -> int:
        """Bytes of an entry."""
        return self._sizes.get(f"entries/{key}", 0)

    def claim(self, key: str, total: int, pinned: Collection[str], keep_free: int) -> Path:
        """Make room for a download of `total` bytes; the folder to put it into, with what an earlier one left.

        `keep_free`: bytes that the disk has left then, whatever the budget says.

        Raises ResourceFailed if there is no room even without everything that nobody uses.
        """
        staging = self._root / "partial" / key
        here = _size(staging)
        self._make_room(f"partial/{key}", total, total - here, pinned, keep_free)
        self._claims[f"partial/{key}"] = total
        staging.mkdir(exist_ok=True)
        staging.chmod(0o711)
        return staging

    def unclaim(self, key: str) -> None:
        """The download of a key is over; what it left counts as it is from now on."""
        self._claims.pop(f"partial/{key}", None)

    def keep(self, key: str) -> Path:
        """Make a whole download an entry; the folder to mount."""
        staging, entry = self._root / "partial" / key, self._root / "entries" / key
        _remove(staging / "parts")
        sync_folder(staging)
        size = _size(staging)
        with marked(Mark.RESOURCE_KEEP):
            staging.rename(entry)
            sync_folder(entry.parent)
            sync_folder(staging.parent)
        os.utime(entry)
        self._sizes[f"entries/{key}"] = size
        return entry / "data"

    def copy(self, name: str) -> Path | None:
        """A run's own copy, if it is there and complete."""
        return self._root / "copies" / name / "data" if f"copies/{name}" in self._sizes else None

    def claim_copy(self, name: str, key: str, pinned: Collection[str], keep_free: int) -> Path:
        """Make room for a copy of an entry; the folder to make it in."""
        # One of a life of the agent that ended before it had handed it out.
        self._drop("copies", name)
        size = self.size(key)
        self._make_room(f"copies/{name}", size, size, {*pinned, key}, keep_free)
        self._claims[f"copies/{name}"] = size
        started = self._root / "copies" / f"{name}.new"
        _remove(started)
        started.mkdir()
        started.chmod(0o711)
        return started

    def keep_copy(self, name: str, key: str) -> Path:
        """Make a whole copy usable."""
        started = self._root / "copies" / f"{name}.new"
        goal = started.with_suffix("")
        with marked(Mark.RESOURCE_COPY):
            started.rename(goal)
            sync_folder(goal.parent)
        self._sizes[f"copies/{name}"] = self.size(key)
        return goal / "data"

    def unclaim_copy(self, name: str) -> None:
        """A copy is made, or given up."""
        self._claims.pop(f"copies/{name}", None)
        _remove(self._root / "copies" / f"{name}.new")

    def drop_copy(self, name: str) -> None:
        """Remove a run's copy."""
        self._drop("copies", name)

    def copies(self) -> frozenset[str]:
        """The names of all copies."""
        return frozenset(name.removeprefix("copies/") for name in self._sizes if name.startswith("copies/"))

    def trim(self, pinned: Collection[str]) -> None:
        """Let go of what is over the budget."""
        self._make_room("", 0, 0, pinned, 0)

    def give_way(self, wanted: int, pinned: Collection[str]) -> None:
        """Let go of what nobody uses until `wanted` bytes are free, or all of it is gone."""
        for folder, name in self._idle("", pinned):
            if wanted <= 0:
                return
            wanted -= _size(self._root / folder / name)
            self._drop(folder, name)

    def _make_room(self, place: str, total: int, more: int, pinned: Collection[str], keep_free: int) -> None:
        """Until `total` bytes fit into the budget at `place`, and `more` of them onto the disk."""
        idle = self._idle(place, pinned)
        while True:
            over = self._held(place) + total - self._budget
            short = keep_free + self._coming(place) + more - _free(self._root) if more > 0 else 0
            if over <= 0 and short <= 0:
                return
            if not idle:
                if not total:
                    return
                what, bound = ("resources.cache", over) if over > 0 else ("the disk", short)
                raise ResourceFailed(
                    f"there is no room for {total:,} bytes: {bound:,} too many for {what}",
                    hint="Free space, or raise the bound.",
                )
            folder, name = idle.pop(0)
            self._drop(folder, name)

    def _idle(self, place: str, pinned: Collection[str]) -> list[tuple[str, str]]:
        """What nobody uses, the longest unused first."""
        found: list[tuple[float, str, str]] = []
        for folder in ("partial", "entries"):
            for path in (self._root / folder).iterdir():
                name = f"{folder}/{path.name}"
                if name != place and name not in self._claims and path.name not in pinned:
                    found.append((path.stat().st_mtime, folder, path.name))
        return [(folder, name) for _, folder, name in sorted(found)]

    def _held(self, place: str) -> int:
        """Bytes of everything else: what is here, and what was promised to others."""
        cut_off = sum(
            _size(path)
            for path in (self._root / "partial").iterdir()
            if (name := f"partial/{path.name}") not in self._claims and name != place
        )
        return cut_off + sum(self._sizes.values()) + sum(n for name, n in self._claims.items() if name != place)

    def _coming(self, place: str) -> int:
        """Bytes that others were promised and have not written yet."""
        return sum(
            max(total - _size(self._root / (f"{name}.new" if name.startswith("copies/") else name)), 0)
            for name, total in self._claims.items()
            if name != place
        )

    def _drop(self, folder: str, name: str) -> None:
        path = self._root / folder / name
        self._sizes.pop(f"{folder}/{name}", None)
        # Away in one step first: half an entry must never look like one.
        gone = self._root / "trash" / f"{name}-{time.time_ns()}"
        try:
            with marked(Mark.RESOURCE_EVICT):
                path.rename(gone)
        except FileNotFoundError:
            return
        _remove(gone)


def _kept_salt(path: Path) -> bytes:
    try:
        salt = path.read_bytes()
    except FileNotFoundError:
        salt = b""
    if len(salt) == _SALT_BYTES:
        return salt
    salt = secrets.token_bytes(_SALT_BYTES)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(handle, salt)
        os.fsync(handle)
    finally:
        os.close(handle)
    return salt


def _free(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_bavail * state.f_frsize


def _size(path: Path) -> int:
    """Bytes of all files below a folder, as far as they are there."""
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += (Path(folder) / name).lstat().st_size
            except FileNotFoundError:
                continue
    return total


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
