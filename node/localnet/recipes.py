"""Recipes of the built-in jobs: what each is, the image it runs and the definition that runs it.

A recipe is a folder under `jobs/`: `recipe.json` (what people are told, see `About`), a Dockerfile whose `BASE` is this
machine's Python with the packages of `requirements.lock`, the files it copies, and `job.json`, the definition.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.errors import LocalnetError
from node.localnet.rootfs import Interpreter, find_interpreter

JOBS = Path(__file__).resolve().parent / "jobs"
# Raised when what the builder does with a recipe changes, so that images built before are not taken for current.
BUILDER_VERSION = 2
NOT_IN_THE_IMAGE = ("job.json", "recipe.json")


@dataclass(frozen=True)
class About:
    """What people are told of a recipe, and what its packages bring that the image need not hold.

    `summary` says what the job does, `model` which model it is and where that comes from, `building` what the build
    itself does, `fetched_mb` how many megabytes of packages are fetched once, `left_out` names files (glob patterns
    in the packages' folder).
    """

    summary: str
    model: str
    building: str
    fetched_mb: int
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """A recipe folder and the interpreter its image is based on."""

    name: str
    folder: Path
    interpreter: Interpreter

    @property
    def about(self) -> About:
        """The recipe's own words."""
        return _about(self.folder)

    @property
    def hash(self) -> str:
        """First 16 hex digits of SHA-256 over everything that decides what the image holds."""
        digest = hashlib.sha256()
        base = [BUILDER_VERSION, self.interpreter.platform, self.interpreter.version, *self.about.left_out]
        digest.update(json.dumps(base).encode())
        for path in self.files():
            # The definition names the image, and what people are told may be put better: neither is in it.
            if path.name not in NOT_IN_THE_IMAGE:
                digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:16]

    @property
    def packages_hash(self) -> str:
        """First 16 hex digits of SHA-256 over what decides which packages are fetched."""
        lock = (self.folder / "requirements.lock").read_bytes()
        platform = f"{self.interpreter.platform} {self.interpreter.short_version}".encode()
        return hashlib.sha256(platform + b"\0" + lock).hexdigest()[:16]

    @property
    def tag(self) -> str:
        """The image's tag."""
        return f"gpunode/{self.name}:{self.hash}"

    def files(self) -> list[Path]:
        """The recipe's files, sorted by name."""
        return sorted(path for path in self.folder.iterdir() if path.is_file())


def names() -> tuple[str, ...]:
    """Names of the recipes in this package."""
    return tuple(sorted(path.parent.name for path in JOBS.glob("*/Dockerfile")))


def about(name: str) -> About:
    """What the recipe called `name` is. Raises LocalnetError when there is none."""
    return _about(_folder(name))


def recipe(name: str) -> Recipe:
    """The recipe called `name`. Raises LocalnetError when there is none, or no Python to build it with."""
    return Recipe(name, _folder(name), find_interpreter())


def definition(name: str) -> dict[str, Any]:
    """The job definition of the recipe, with the tag its image has on this machine."""
    found = recipe(name)
    document: dict[str, Any] = json.loads((found.folder / "job.json").read_text())
    for operation in document["ops"]:
        if operation["args"].get("image") == f"gpunode/{name}":
            operation["args"]["image"] = found.tag
    return document


def exposes(name: str) -> bool:
    """Whether the recipe's job offers a service, which goes on until the job is ended."""
    document = json.loads((_folder(name) / "job.json").read_text())
    return any("expose" in operation["args"] for operation in document["ops"])


def _folder(name: str) -> Path:
    if name not in names():
        raise LocalnetError(f"there is no built-in job called {name!r}", hint=f"known ones: {', '.join(names())}")
    return JOBS / name


def _about(folder: Path) -> About:
    said = json.loads((folder / "recipe.json").read_text())
    return About(**{**said, "left_out": tuple(said.get("left_out", ()))})
