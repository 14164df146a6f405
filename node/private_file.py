"""Reads files that hold secrets, and refuses those that others can read or change."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from node.errors import WalletError


def read_private(path: Path, *, limit: int, modes: frozenset[int], what: str) -> bytes:
    """The file's bytes, at most `limit` and one (so that a reader sees that there are more).

    Raises WalletError unless it is a regular file with one of the `modes`, owned by this user or root, in a folder
    that not everybody may write. `what` names it in messages ("key file").
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise WalletError(f"there is no {what} {path}", hint=_MAKE.get(what, "")) from None
    except OSError as error:
        raise WalletError(f"{path} cannot be read: {error.strerror}", hint="Look at its owner and mode.") from None
    try:
        # Looked at through the open file, so that nobody can swap it in between.
        _require_private(path, os.fstat(handle), modes, what)
        _require_quiet_folder(path, what)
        return _whole(handle, limit + 1)
    except OSError as error:
        raise WalletError(f"{path} cannot be read: {error.strerror}") from None
    finally:
        os.close(handle)


_MAKE = {"key file": "Make one with `gpunode init`."}


def _whole(handle: int, size: int) -> bytes:
    kept = bytearray()
    while len(kept) < size and (piece := os.read(handle, size - len(kept))):
        kept += piece
    return bytes(kept)


def _require_private(path: Path, status: os.stat_result, modes: frozenset[int], what: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise WalletError(f"{path} is not a regular file", hint=f"Name the {what} itself.")
    if (mode := stat.S_IMODE(status.st_mode)) not in modes:
        allowed = " or ".join(f"{each:04o}" for each in sorted(modes, reverse=True))
        raise WalletError(f"{path} has mode {mode:04o}, a {what} must have {allowed}", hint=f"chmod 600 {path}")
    if status.st_uid not in (os.geteuid(), 0):
        raise WalletError(
            f"{path} belongs to user {status.st_uid}, who could change it; a {what} must belong to this user or root",
            hint=f"chown {os.geteuid()} {path}, or run gpunode as its owner",
        )


def _require_quiet_folder(path: Path, what: str) -> None:
    # Of a link, the folder it leads to counts as well: either could be swapped.
    for folder in {path.absolute().parent, path.resolve().parent}:
        status = folder.stat()
        # In a folder with the sticky bit (/tmp) only its owner can replace a file.
        if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
            raise WalletError(
                f"everybody may write to {folder}, and so replace the {what} {path.name}", hint=f"chmod o-w {folder}"
            )
        if status.st_uid not in (os.geteuid(), 0):
            raise WalletError(
                f"{folder} belongs to user {status.st_uid}, who could replace the {what} {path.name}",
                hint=f"chown {os.geteuid()} {folder}, or keep the {what} elsewhere",
            )


def create_private(path: Path, content: str, mode: int, what: str) -> None:
    """Write a new file of that mode, durable when this returns. Raises WalletError where there is a file already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, content, mode)
        settle(path.parent)
    except OSError as error:
        if os.path.lexists(path):
            raise WalletError(
                f"{path} exists already", hint=f"A {what} is never overwritten; name another, or use this one."
            ) from None
        raise WalletError(f"{path} cannot be written: {error.strerror}") from None


def write_private(path: Path, content: str, mode: int) -> None:
    """Write a file that was not there. Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def settle(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_private(path: Path, content: str, mode: int) -> None:
    """Write a file anew, all of it or nothing, and overwrite its old bytes. Raises WalletError, also where the file has
    a second name, which would keep them."""
    path = path.resolve()
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with path.open("r+b") as old:
            if os.fstat(old.fileno()).st_nlink > 1:
                raise WalletError(
                    f"{path} has a second name (a hard link), which would keep the key as it was",
                    hint="Remove the other name first.",
                )
            try:
                write_private(beside, content, mode)
                beside.replace(path)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise
            settle(path.parent)
            # The name leads to the new file by now; this handle still leads to the old one.
            old.write(bytes(os.fstat(old.fileno()).st_size))
            old.flush()
            os.fsync(old.fileno())
    except OSError as error:
        raise WalletError(f"{path} cannot be changed: {error.strerror}", hint="The key is as it was.") from None
