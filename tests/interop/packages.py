"""The npm packages of the official clients: installed once, by lock, into a folder outside the repository."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

CLIENTS = Path(__file__).resolve().parent / "clients"
MANIFEST = ("package.json", "package-lock.json", ".npmrc")
OLDEST_NODE = 20
INSTALL_SECONDS = 300


class ClientsMissing(Exception):
    """The official clients cannot be run here; the text says why."""


def clients_folder() -> Path:
    """Folder in which the official clients are installed, installing them first when they are not.

    Raises ClientsMissing when there is no Node.js, or the packages cannot be fetched.
    """
    _require_node()
    digest = hashlib.sha256(b"".join((CLIENTS / name).read_bytes() for name in MANIFEST)).hexdigest()[:16]
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gpunode" / "interop"
    folder = base / digest
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            _install(folder)
            (folder / "complete").touch()
    return folder


def _require_node() -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise ClientsMissing("the official clients need Node.js and npm, which are not installed")
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    major = re.match(r"v(\d+)\.", said)
    if major is None or int(major[1]) < OLDEST_NODE:
        raise ClientsMissing(f"the official clients need Node.js {OLDEST_NODE} or newer; this is {said}")


def _install(folder: Path) -> None:
    for name in MANIFEST:
        shutil.copy(CLIENTS / name, folder / name)
    # Their install scripts are not run: none of the packages needs one, and nobody read them.
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ClientsMissing(f"npm did not fetch the official clients in {INSTALL_SECONDS} s") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        raise ClientsMissing(f"npm could not fetch the official clients: {lines[0]}")
