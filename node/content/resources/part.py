"""A file under way, and what its server said of the whole of it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import httpx

from node.bounded_json import JsonRefused, read_json
from node.content.resources.checksums import Sums, md5_of_etag, stated_sums, strong
from node.content.resources.listing import RemoteFile

CHUNK = 1 << 20
NOTE_BYTES = 4096


class Part:
    """A file under way."""

    def __init__(self, folder: Path, file: RemoteFile) -> None:
        name = hashlib.sha256(file.name.encode()).hexdigest()
        self._file = file
        self._path = folder / name
        self._note = folder / f"{name}.json"

    def length(self) -> int:
        try:
            return self._path.stat().st_size
        except FileNotFoundError:
            return 0

    def appended(self) -> _Appending:
        return _Appending(self._path)

    def touch(self) -> None:
        """An empty file is one as well."""
        self._path.touch()

    def discard(self) -> None:
        self._path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def write_whole(self, content: bytes) -> None:
        self.discard()
        self._path.write_bytes(content)

    def note(self, response: httpx.Response) -> None:
        """Keep what the server said about the whole file: later answers, for a range, no longer say it."""
        tag = strong(response.headers.get("etag", ""))
        sums = stated_sums(response)
        md5 = md5_of_etag(tag, response.headers.get("x-amz-server-side-encryption", ""))
        if self._file.etag_is_md5 and md5 is not None:
            sums["md5"] = md5
        self._note.write_text(json.dumps({"etag": tag, "sums": sums}))

    def noted_etag(self) -> str:
        return str(self._noted().get("etag", ""))

    def noted_sums(self) -> Mapping[str, str]:
        sums = self._noted().get("sums")
        return sums if isinstance(sums, dict) else {}

    def _noted(self) -> dict[str, object]:
        try:
            found = read_json(self._note.read_bytes(), limit=NOTE_BYTES)
        except (OSError, JsonRefused):
            return {}
        return found if isinstance(found, dict) else {}

    def sums(self, wanted: Mapping[str, str]) -> Mapping[str, str]:
        """The checksums of what is on the disk: what was hashed on its way could still be written wrongly."""
        sums = Sums(wanted, self.length())
        with self._path.open("rb") as file:
            while piece := file.read(CHUNK):
                sums.update(piece)
        return sums.hex()

    def move_to(self, goal: Path) -> None:
        """Make it durable, readable for every user of a container, and a part of the whole."""
        with self._path.open("rb") as file:
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        goal.parent.mkdir(parents=True, exist_ok=True)
        self._path.replace(goal)
        self._note.unlink(missing_ok=True)


class _Appending:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Appending:
        self._handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        return self

    def write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            view = view[os.write(self._handle, view) :]

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)
