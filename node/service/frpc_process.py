"""frpc as a process of the agent's own, which ends with it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from node.errors import ServiceError

GET_FRPC = (
    "take frpc from a release of the frp project (github.com/fatedier/frp, version 0.52 or newer) for this machine, "
    "put it on the PATH or name it in service.frp.binary; or name an image that holds it in service.frp.image"
)
LEAST_VERSION = (0, 52)
"""The first that reads TOML."""
_KEPT_LINES = 50
_LONGEST_LINE = 500
_GRACE = 3.0
_LEASH = Path(__file__).with_name("leash.py")
_STAMP = re.compile(r"^\d{4}[-/]\d\d[-/]\d\d \d\d:\d\d:\d\d(\.\d+)? ")


class RunningFrpc(Protocol):
    """One life of frpc."""

    @property
    def lines(self) -> tuple[str, ...]:
        """The newest lines that it printed."""
        ...

    async def wait(self) -> str:
        """Return when it has ended; says how."""
        ...

    async def stop(self) -> None:
        """End it, and return when it has ended."""
        ...


class FrpcStarter(Protocol):
    """Starts frpc with a configuration file."""

    async def start(self, config: Path) -> RunningFrpc:
        """Raises ServiceError."""
        ...


class FrpcBinary:
    """Runs a program of this machine."""

    def __init__(self, binary: str) -> None:
        self._binary = binary

    async def start(self, config: Path) -> RunningFrpc:
        """As FrpcStarter.start."""
        program = find_binary(self._binary)
        environment = {name: os.environ[name] for name in ("PATH", "http_proxy") if name in os.environ}
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), program, "-c", str(config)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                # A key pressed in our terminal is for us; what ends with us ends by the leash.
                start_new_session=True,
            )
        except OSError as error:
            raise ServiceError(f"{program} cannot be started: {error.strerror}", hint=GET_FRPC) from None
        return _Process(process)


class _Process:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    @property
    def lines(self) -> tuple[str, ...]:
        return tuple(self._lines)

    async def wait(self) -> str:
        assert self._process.stdout is not None
        rest = b""
        # Read in pieces: a line may be of any length.
        while piece := await self._process.stdout.read(8192):
            *whole, rest = (rest + piece).split(b"\n")
            self._lines.extend(shortened(line) for line in whole if is_news(line))
            rest = rest[-_LONGEST_LINE:]
        if rest:
            self._lines.append(shortened(rest))
        code = await self._process.wait()
        return f"frpc ended with status {code}" if code >= 0 else f"frpc was ended by signal {-code}"

    async def stop(self) -> None:
        if self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(_GRACE):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


def is_news(line: bytes) -> bool:
    """Whether a line says more than that we have asked frpc for its status."""
    return b"[/api/" not in line


def shortened(line: bytes) -> str:
    """A line of frpc's, without its time."""
    return _STAMP.sub("", line[:_LONGEST_LINE].decode(errors="replace").rstrip())


def find_binary(name: str) -> str:
    """Absolute path of the program. Raises ServiceError."""
    found = shutil.which(str(Path(name).expanduser()) if "/" in name else name)
    if found is None:
        raise ServiceError(f"there is no program {name}", hint=GET_FRPC)
    return str(Path(found).absolute())


async def binary_version(program: str) -> str:
    """What `frpc --version` says. Raises ServiceError where it is no frpc, or too old."""
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            "--version",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(10):
            said, _ = await process.communicate()
    except OSError as error:
        raise ServiceError(f"{program} cannot be started: {error.strerror}", hint=GET_FRPC) from None
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise ServiceError(f"{program} does not tell its version", hint=GET_FRPC) from None
    version = said[:100].decode(errors="replace").strip()
    numbers = re.match(r"v?(\d+)\.(\d+)\.", version + ".")
    if numbers is None:
        raise ServiceError(f"{program} is no frpc: its version is {version[:40]!r}", hint=GET_FRPC)
    if (int(numbers[1]), int(numbers[2])) < LEAST_VERSION:
        raise ServiceError(f"{program} is frpc {version}, which is too old", hint=GET_FRPC)
    return version
