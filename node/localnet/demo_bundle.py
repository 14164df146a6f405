"""The demo's bundle: made of the demo's job by the product's own command, and checked by it without the chain."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from node.errors import LocalnetError
from node.localnet.command import Command


class Told(Protocol):
    """Where the demo says what happens."""

    def step(self, text: str) -> None:
        """A step begins."""
        ...

    def detail(self, text: str) -> None:
        """A fact about the step at hand."""
        ...


def target_of(file: Path | None) -> Path | None:
    """Where the bundle goes. Raises LocalnetError at once for a place that takes none: a demo takes a while."""
    if file is None:
        return None
    target = file.expanduser().absolute()
    if target.is_dir():
        raise LocalnetError(f"{target} is a folder", hint="name a file: --bundle FILE")
    if not target.parent.is_dir():
        raise LocalnetError(f"there is no folder {target.parent}", hint="make it, or name another file: --bundle FILE")
    return target


async def leave_bundle(command: Command, settings: Path, job: str, target: Path, screen: Told) -> dict[str, Any]:
    """Make the bundle of the demo's job, replacing what is there, and check it: `file`, `bytes`, `missing` and
    `verified` as the commands have them, and `ok`."""
    screen.step("Host: gpunode bundle")
    made = await command.document("bundle", job, "--output", str(target), "--force", "--settings", str(settings))
    screen.detail(f"{made['bytes']:,} bytes in {target}: {', '.join(made['parts'])}")
    screen.step("Anyone, without a network: gpunode verify --bundle")
    checked = await command.document("verify", job, "--bundle", str(target))
    failed = [check["name"] for check in checked["checks"] if check["ok"] is False]
    holds = sum(check["ok"] is True for check in checked["checks"])
    screen.detail(f"{holds} lines hold, {len(failed)} failed{''.join(f': {name}' for name in failed)}")
    return {
        "file": str(target),
        "bytes": made["bytes"],
        "missing": made["missing"],
        "ok": checked["ok"],
        "verified": checked["verified"],
    }
