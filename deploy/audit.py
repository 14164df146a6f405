"""Looks at the packages that gpunode runs with, without a network: are they those of the lock, and none known bad?

Checks that every package of deploy/requirements.lock is pinned with hashes; that what pyproject.toml asks for is in it;
that every package in this environment is in it, at that version, and every pin is installed; that the installed files
are those their packages list; and that no pin is below a version fixed by an advisory of deploy/known_bad.toml.
Exit status 1 and one line for each thing found.
"""

from __future__ import annotations

import base64
import hashlib
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
OWN = "gpunode"
UNLOCKED = frozenset({"pip", "cuda-bindings", "cuda-pathfinder", "nvidia-cuda-nvrtc-cu12"})
"""Comes with the virtual environment itself (and setuptools, which the lock has as well), or is the extra that the lock
leaves out."""
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}\b")


@dataclass(frozen=True)
class Pin:
    """One package of the lock."""

    name: str
    version: Version
    applies: bool
    """Whether its marker holds for this Python and system."""
    hashes: int


def main() -> int:
    """Print what is wrong; 1 if anything is."""
    lock = (ROOT / "deploy" / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    bad = tomllib.loads((ROOT / "deploy" / "known_bad.toml").read_text())
    try:
        pins = read_lock(lock)
    except ValueError as error:
        print(f"requirements.lock: {error}")
        return 1
    found = [
        *unhashed(pins),
        *missing(pins, wanted(project)),
        *advised(pins, bad["advisories"]),
        *differing(pins, {canonicalize_name(each.name): each for each in distributions()}),
        *tampered(distributions()),
    ]
    print(*found, sep="\n", end="\n" if found else "")
    print(
        f"{len(pins)} pins, {len(found)} findings; the newest advisory looked for is of {bad['newest']}",
        file=sys.stderr,
    )
    return 1 if found else 0


def read_lock(text: str) -> list[Pin]:
    """The pins of a lock file. Raises ValueError for a line that is no `name==version` with hashes."""
    pins = []
    for entry in text.replace("\\\n", " ").splitlines():
        line = entry.strip()
        if not line or line.startswith("#"):
            continue
        stated = _HASH.sub("", line).strip()
        try:
            requirement = Requirement(stated)
        except InvalidRequirement as error:
            raise ValueError(f"{stated[:80]!r} is no pin: {error}") from None
        specifiers = list(requirement.specifier)
        exact = specifiers[0] if len(specifiers) == 1 else None
        if exact is None or exact.operator != "==" or "*" in exact.version or requirement.url:
            raise ValueError(f"{stated[:80]!r} is not pinned to one version")
        applies = requirement.marker is None or requirement.marker.evaluate()
        name = canonicalize_name(requirement.name)
        pins.append(Pin(name, Version(exact.version), applies, len(_HASH.findall(line))))
    return pins


def unhashed(pins: list[Pin]) -> Iterator[str]:
    """Pins that any file of that name would satisfy, and names that are pinned twice at once."""
    for pin in pins:
        if not pin.hashes:
            yield f"{pin.name} {pin.version}: has no hash in the lock"
    applying = [pin.name for pin in pins if pin.applies]
    for name in sorted({name for name in applying if applying.count(name) > 1}):
        yield f"{name}: is in the lock more than once"


def wanted(project: dict[str, dict[str, object]]) -> list[Requirement]:
    """What pyproject.toml asks for and the lock is made from: the product's, the tests' and the build's.

    The extra for NVIDIA GPUs is left out: its compiler takes 250 MB, which nobody else should have to download.
    """
    table = project["project"]
    optional = table["optional-dependencies"]
    assert isinstance(optional, dict)
    extras = [text for name, texts in optional.items() if name != "cuda" for text in texts]
    direct, build = table["dependencies"], project["build-system"]["requires"]
    assert isinstance(direct, list)
    assert isinstance(build, list)
    return [Requirement(text) for text in (*direct, *extras, *build)]


def missing(pins: list[Pin], requirements: list[Requirement]) -> Iterator[str]:
    """Requirements that no pin satisfies."""
    for each in requirements:
        fitting = [pin for pin in pins if pin.name == canonicalize_name(each.name)]
        if not any(each.specifier.contains(pin.version, prereleases=True) for pin in fitting):
            yield f"{each}: is in pyproject.toml, and not in the lock"


def advised(pins: list[Pin], advisories: dict[str, list[dict[str, str]]]) -> Iterator[str]:
    """Pins below a fixed version."""
    for pin in pins:
        for each in advisories.get(pin.name, ()):
            if pin.version < Version(each["fixed"]):
                yield f"{pin.name} {pin.version}: {each['id']}, fixed in {each['fixed']}"


def differing(pins: list[Pin], installed: dict[str, Distribution]) -> Iterator[str]:
    """Packages of this environment that are not those of the lock."""
    known = {pin.name: pin for pin in pins if pin.applies}
    for name, pin in known.items():
        if name not in installed:
            yield f"{name} {pin.version}: is in the lock, and not installed"
        elif Version(installed[name].version) != pin.version:
            yield f"{name} {installed[name].version}: is installed, the lock has {pin.version}"
    for name in sorted(set(installed) - set(known) - UNLOCKED - {OWN}):
        yield f"{name} {installed[name].version}: is installed, and not in the lock"


def tampered(installed: Iterator[Distribution] | list[Distribution]) -> Iterator[str]:
    """Installed files that are not as their package listed them."""
    for each in installed:
        for file in each.files or ():
            if file.hash is None or file.hash.mode != "sha256":
                continue
            path = Path(str(each.locate_file(file)))
            try:
                digest = hashlib.sha256(path.read_bytes()).digest()
            except OSError:
                yield f"{each.name}: {file} is missing"
                continue
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != file.hash.value:
                yield f"{each.name}: {file} is not the file that was installed"


if __name__ == "__main__":
    sys.exit(main())
