"""What software stands between a job and the host here: releases, and packages with their own numbers.

Only local programs and files are asked, each with a deadline. What does not answer is not known, and is said to be so.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
import os
import re
import shutil
import signal
import zlib
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.agent.escapes.catalog import Component
from node.agent.escapes.versions import LONGEST, Version, is_package_version
from node.container.engine import EngineInfo, EnginePart
from node.records import Gpu

log = logging.getLogger(__name__)

ASK_SECONDS = 5.0
_MOST_OUTPUT = 1024 * 1024
_MOST_CHANGELOG = 8 * 1024 * 1024
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs are looked for: the agent's own PATH need not have what root's has."""
TOOLKIT_PROGRAMS = ("nvidia-container-runtime-hook", "nvidia-ctk", "nvidia-container-cli")
TOOLKIT_PACKAGES = ("nvidia-container-toolkit-base", "nvidia-container-toolkit", "libnvidia-container1")
_TOOLKIT_VERSION = re.compile(r"(?:version:?|cli-version:)\s*v?(\d+\.\d+\.\d+(?:-rc\.?\d+)?)")
_CVE = re.compile(r"CVE-\d{4}-\d{4,}")


@dataclass(frozen=True, slots=True)
class System:
    """The distribution, as /etc/os-release names it."""

    id: str = ""
    release: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Installed:
    """One component as it is here."""

    component: Component
    version: Version | None
    """None: not known."""
    told_by: str
    """Who says so; where nobody does, what was tried."""
    package_version: str = ""
    """A distribution's own number for it; empty: none, or not known."""
    fixes: frozenset[str] | None = None
    """CVEs that the package's changelog says are fixed; None: there is no changelog to read."""


class Machine:
    """The host's programs and files."""

    def __init__(self, root: Path = Path("/"), path: str = _PATH) -> None:
        """`root`: where files are read below; `path`: where programs are found."""
        self._root = root
        self._path = path

    async def ask(self, program: str, *arguments: str) -> str | None:
        """What a program says; None where it is not there, fails or takes too long."""
        found = shutil.which(program, path=self._path)
        if found is None:
            return None
        process = None
        try:
            async with asyncio.timeout(ASK_SECONDS):
                process = await asyncio.create_subprocess_exec(
                    found,
                    *arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.DEVNULL,
                    env={"PATH": self._path, "LC_ALL": "C"},
                    start_new_session=True,
                )
                said = await _all_of(process)
                code = await process.wait()
        except (OSError, TimeoutError) as error:
            log.debug("%s does not answer: %s", program, error or "too late")
            return None
        finally:
            if process is not None and process.returncode is None:
                await _end(process)
        return said.decode("utf-8", "replace") if code == 0 else None

    def system(self) -> System:
        """The distribution; empty where it does not say."""
        try:
            lines = (self._root / "etc/os-release").read_text("utf-8", "replace").splitlines()
        except OSError:
            return System()
        pairs = dict(line.split("=", 1) for line in lines if "=" in line)
        fields = {key: value.strip().strip("\"'") for key, value in pairs.items()}
        return System(fields.get("ID", ""), fields.get("VERSION_ID", ""), fields.get("PRETTY_NAME", ""))

    def changelog(self, package: str) -> frozenset[str] | None:
        """CVEs that a Debian package's changelogs name (rebuilds have one of their own beside it); None where none is
        kept here."""
        texts = []
        for each in sorted((self._root / "usr/share/doc" / package).glob("changelog*.gz")):
            with contextlib.suppress(OSError, EOFError, ValueError, zlib.error), gzip.open(each) as file:
                texts.append(file.read(_MOST_CHANGELOG).decode("utf-8", "replace"))
        return frozenset(_CVE.findall("\n".join(texts))) if any(texts) else None

    async def package(self, names: Iterable[str]) -> tuple[str, str]:
        """The first of these packages that dpkg or rpm has: its name and version; empty where neither has any."""
        for name in names:
            said = await self.ask("dpkg-query", "-W", "-f", "${db:Status-Status} ${Version}", name)
            status, _, version = (said or "").partition(" ")
            if status == "installed" and 0 < len(version) <= LONGEST:
                return name, version.strip()
            said = await self.ask("rpm", "-q", "--qf", "%{VERSION}-%{RELEASE}", name)
            if said and len(said) <= LONGEST and re.match(r"\d", said):
                return name, said.strip()
        return "", ""

    async def fixes(self, package: str) -> frozenset[str] | None:
        """CVEs that the package's changelog says are fixed; None where there is none to read."""
        found = await asyncio.to_thread(self.changelog, package)
        if found is not None:
            return found
        said = await self.ask("rpm", "-q", "--changelog", package)
        return None if said is None else frozenset(_CVE.findall(said))


async def _all_of(process: asyncio.subprocess.Process) -> bytes:
    """What it prints; raises OSError where that has no end."""
    assert process.stdout is not None
    said = b""
    while piece := await process.stdout.read(65_536):
        said += piece
        if len(said) > _MOST_OUTPUT:
            raise OSError("it says too much")
    return said


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it with whatever it has started, and let go of it."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    assert process.stdout is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while await process.stdout.read(65_536):
                pass
            await process.wait()


async def survey(
    engine: EngineInfo, gpus: Sequence[Gpu], runtimes: Iterable[str], machine: Machine
) -> tuple[Installed, ...]:
    """Everything that the list has entries on and that jobs meet here: `runtimes` are those that jobs run with, `gpus`
    those that they are given (simulated ones bring no driver and no toolkit)."""
    asks: list[Awaitable[Installed]] = []
    if "runc" in runtimes:
        asks.append(_of_engine(Component.RUNC, "runc", engine, machine))
    asks.append(_of_engine(Component.CONTAINERD, "containerd", engine, machine))
    docker = Installed(Component.DOCKER, _version(engine.version), "the engine")
    real = [gpu for gpu in gpus if gpu.provider == "nvidia"]
    found = [*[await ask for ask in asks], docker]
    if real:
        found += [_driver(real), await _toolkit(machine)]
    return tuple(found)


async def _of_engine(component: Component, name: str, engine: EngineInfo, machine: Machine) -> Installed:
    """What the engine says of a part of its own, and where that is a distribution's build, what its package says."""
    is_here = await asyncio.to_thread(_is_here, engine, machine)
    told, by = next((part for part in engine.parts if part.name == name), None), "the engine"
    if told is None and is_here:
        # An engine names its default runtime only, which may be NVIDIA's.
        told, by = await _by_itself(name, machine), f"{name} --version"
    version = None if told is None else _version(told.version)
    if told is None or version is None:
        return Installed(component, None, f"neither the engine nor {name} --version says")
    revision = told.revision if is_package_version(told.revision) else ""
    fixes = None
    if is_here:
        package, number = await machine.package([name])
        # Only if it is what the engine runs: several may be installed.
        if number and _version(number) == version and (not revision or revision == number):
            revision, fixes = number, await machine.fixes(package)
    return Installed(component, version, by, revision, fixes)


async def _by_itself(name: str, machine: Machine) -> EnginePart | None:
    """What runc, or another program of that kind, says of itself."""
    said = await machine.ask(name, "--version") or ""
    version = re.search(r"version\s+(\S+)", said)
    commit = re.search(r"^commit:\s*(\S+)", said, re.MULTILINE)
    return None if version is None else EnginePart(name, version[1], commit[1] if commit else "")


def _is_here(engine: EngineInfo, machine: Machine) -> bool:
    """Whether the engine runs on this system, as far as names tell."""
    name = machine.system().name
    return not engine.operating_system or not name or engine.operating_system == name


def _driver(gpus: Sequence[Gpu]) -> Installed:
    numbers = [version for gpu in gpus if gpu.driver and (version := _version(gpu.driver)) is not None]
    return Installed(Component.DRIVER, min(numbers, default=None), "NVML" if numbers else "NVML does not say")


async def _toolkit(machine: Machine) -> Installed:
    """The oldest of the toolkit's parts: each of them works on a container with root's rights."""
    found: dict[str, Version] = {}
    for program in TOOLKIT_PROGRAMS:
        match = _TOOLKIT_VERSION.search(await machine.ask(program, "--version") or "")
        if match and (version := _version(match[1])) is not None:
            found[program] = version
    for name in TOOLKIT_PACKAGES:
        package, number = await machine.package([name])
        if package and (version := _version(number)) is not None:
            found.setdefault(f"package {package}", version)
    if not found:
        tried = ", ".join(TOOLKIT_PROGRAMS)
        return Installed(Component.TOOLKIT, None, f"none of {tried} answers, and no package of that name is installed")
    oldest = min(found, key=lambda name: found[name])
    return Installed(Component.TOOLKIT, found[oldest], oldest)


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except ValueError:
        return None


def default_machine() -> Machine:
    """This host, with the agent's own PATH before the usual folders."""
    own = os.environ.get("PATH", "")
    return Machine(path=f"{own}:{_PATH}" if own else _PATH)
