"""Whole flows of a client, each a Node.js program that does everything the client offers and reports on every call."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.localnet.app import Localnet
from tests.interop.client import program_addresses
from tests.interop.packages import CLIENTS

FLOW_SECONDS = 240.0


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a client's function: in which step, and what it threw, if it did."""

    step: str
    threw: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What a flow did."""

    offered: frozenset[str]
    """Every function the client's services offer, as `service.name`."""
    calls: Mapping[str, tuple[Call, ...]]
    failed: Mapping[str, str]
    """Steps whose assertions did not hold, with the reason."""
    seconds: Mapping[str, float]

    def failures(self) -> str:
        """The failed steps with their reasons, for a test's message."""
        return "\n\n".join(f"{step}: {why}" for step, why in self.failed.items())

    def outcome(self, call: str) -> str:
        """One line: `done`, `refused: …` where every call of it was a refusal the step expected, or `FAILED: …`."""
        made = self.calls[call]
        for step in (one.step for one in made):
            if step in self.failed:
                return f"FAILED: {self.failed[step].splitlines()[0]}"
        if any(one.threw is None for one in made):
            return "done"
        return f"refused: {made[0].threw}"


def drivers(folder: Path) -> Path:
    """Folder with copies of our programs beside the packages: a module finds packages above itself."""
    sources = sorted(path for path in CLIENTS.rglob("*.mjs"))
    digest = hashlib.sha256(b"".join(str(path.name).encode() + path.read_bytes() for path in sources)).hexdigest()[:12]
    place = folder / f"drivers-{digest}"
    for source in sources:
        copy = place / source.relative_to(CLIENTS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)
    return place


def describe(net: Localnet, *, rpc_url: str, ws_url: str, staged: Mapping[str, Any]) -> dict[str, Any]:
    """What a flow is told about the chain at the two URLs, which has that localnet's genesis, keys and content."""
    return {
        "network": net.cluster.ids,
        "rpc": rpc_url,
        "ws": ws_url,
        "content": net.content_url,
        "market": net.market,
        "programs": program_addresses(net.cluster),
        "keys": {name: list(bytes(key)) for name, key in net.keys.items()},
        "staged": dict(staged),
    }


async def run_flow(name: str, folder: Path, chain: Mapping[str, Any]) -> Report:
    """Run `clients/<name>_flow.mjs` with the packages in `folder`. Raises AssertionError where it gives no report."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(drivers(folder) / f"{name}_flow.mjs"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(FLOW_SECONDS):
            out, err = await process.communicate(json.dumps(chain).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert out, f"the {name} flow ended with {process.returncode} and no report:\n{err.decode()[-4000:]}"
    return _report(json.loads(out))


def _report(document: dict[str, Any]) -> Report:
    return Report(
        offered=frozenset(document["offered"]),
        calls={name: tuple(Call(**one) for one in made) for name, made in document["calls"].items()},
        failed={step["name"]: step["why"] for step in document["steps"] if step["why"]},
        seconds={step["name"]: step["seconds"] for step in document["steps"]},
    )
