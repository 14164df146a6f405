"""What a source has: files with sizes and checksums, checked before anything is fetched.

A server's word decides nothing about this host: names stay within their folder, and their number, length and bytes are
bounded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from node.errors import ResourceFailed

UNSTATED_BYTES = 1 << 30
"""What a file may have whose size its server does not state."""
NAME_BYTES = 4096
PART_BYTES = 255
DEPTH = 64


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file: where it goes, where it is, and how its bytes are known to be right."""

    name: str
    """Below the mounted folder."""
    url: str = ""
    size: int | None = None
    """Bytes; None: its server does not say."""
    etag: str = ""
    """Of the URL itself, without quotes, where the source stated it; an answer with another one is another file."""
    etag_is_md5: bool = False
    """Whether the store's ETags are MD5 sums, where they look like one."""
    sums: Mapping[str, str] = field(default_factory=dict)
    """Checksums in hexadecimal by algorithm: `sha256`, `sha1`, `md5`, `git` (SHA-1 of a git blob)."""
    literal: bytes | None = None
    """The content itself, where it came with the listing."""
    known_by: str = ""
    """What stands for its content where there is no checksum: an ETag, a date. Empty: nothing does."""

    @property
    def most(self) -> int:
        """Bytes it may have."""
        return UNSTATED_BYTES if self.size is None else self.size


@dataclass(frozen=True, slots=True)
class Listing:
    """All files of a resource."""

    files: tuple[RemoteFile, ...]
    fingerprint: str
    """Hash of everything that says what the content is. Random where nothing says it."""

    @property
    def total(self) -> int:
        """Bytes they may have."""
        return sum(file.most for file in self.files)


def listing_of(files: Iterable[RemoteFile], nonce: str, *, most_files: int, most_bytes: int) -> Listing:
    """The files as a listing; of two with the same name the later one counts.

    `nonce` stands for a file that nothing identifies. Raises ResourceFailed for names that lead out of the folder,
    for too many files or bytes, and where one file is another's folder.
    """
    kept: dict[str, RemoteFile] = {}
    for file in files:
        require_name(file.name)
        kept[file.name] = file
        if len(kept) > most_files:
            raise ResourceFailed(
                f"more than {most_files:,} files", hint="Name the files wanted, or raise resources.files."
            )
    if not kept:
        raise ResourceFailed("there are no files at this address", hint="Check the address and its prefix.")
    folders = {"/".join(parts[:depth]) for parts in map(_parts, kept) for depth in range(1, len(parts))}
    if clash := next((name for name in kept if name in folders), None):
        raise ResourceFailed(f"{shown_name(clash)} is a file and a folder at once")
    ordered = tuple(kept[name] for name in sorted(kept))
    if (total := sum(file.most for file in ordered)) > most_bytes:
        raise ResourceFailed(
            f"{total:,} bytes, more than the {most_bytes:,} that are left for this job",
            hint="Ask for fewer files; the host's bounds are resources.job and resources.cache.",
        )
    return Listing(ordered, _fingerprint(ordered, nonce))


def require_name(name: str) -> None:
    """Raise ResourceFailed unless this is a plain path below a folder."""
    parts = _parts(name)
    try:
        sizes = [len(part.encode()) for part in parts]
    except UnicodeEncodeError:
        raise ResourceFailed(f"the server names a file {shown_name(name)}") from None
    fine = (
        0 < len(parts) <= DEPTH
        and all(0 < size <= PART_BYTES for size in sizes)
        and sum(sizes) + len(sizes) <= NAME_BYTES
        and not any(part in (".", "..") for part in parts)
        and not any(ord(letter) < 32 or ord(letter) == 127 for letter in name)
    )
    if not fine:
        raise ResourceFailed(
            f"the server names a file {shown_name(name)}, which cannot be kept below a folder",
            hint="Its owner must rename it, or name the files wanted.",
        )


def shown_name(name: str) -> str:
    """A name that a stranger chose, as messages show it."""
    return ascii(name if len(name) <= 120 else name[:117] + "...")


def _parts(name: str) -> list[str]:
    return name.split("/")


def _fingerprint(files: tuple[RemoteFile, ...], nonce: str) -> str:
    rows = [
        [file.name, file.size, dict(sorted(file.sums.items())), file.known_by, _literal(file), _doubt(file, nonce)]
        for file in files
    ]
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _literal(file: RemoteFile) -> str:
    return "" if file.literal is None else hashlib.sha256(file.literal).hexdigest()


def _doubt(file: RemoteFile, nonce: str) -> str:
    return "" if file.sums or file.known_by or file.literal is not None else nonce
