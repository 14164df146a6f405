"""`gpunode verify --bundle FILE`: check a bundle; without a network, unless an endpoint is named."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from node.errors import GpunodeError, UsageError

if TYPE_CHECKING:
    from node.proof.checks import Verification
    from node.records import Address


@dataclass(frozen=True, slots=True)
class BundleQuestion:
    """What the command line asks of a bundle. `cluster`, `ids`, `rpc`: as other commands have them; with none of them
    no chain is asked, whatever the settings say."""

    file: Path
    job: Address | None
    cluster: str | None
    ids: str | None
    rpc: str | None

    @property
    def is_offline(self) -> bool:
        """Whether nobody is asked."""
        return self.cluster is None and self.rpc is None


def check(question: BundleQuestion) -> Verification:
    """The verification of the file. Raises GpunodeError where it cannot be read, ChainError where the chain cannot."""
    from node.proof.bundle_check import verify_bundle

    body = _read(question.file)
    if question.is_offline:
        if question.ids is not None:
            raise UsageError("--ids says something of a chain", hint="name the chain as well: --cluster or --rpc")
        return verify_bundle(body, question.job)
    from node.cli import place

    return place.run(_online(body, question))


async def _online(body: bytes, question: BundleQuestion) -> Verification:
    from node.cli.reach import reach, target
    from node.proof.bundle_check import verify_bundle_online

    async with reach(target(None, question.cluster, question.ids, question.rpc)) as (chain, endpoint):
        return await verify_bundle_online(body, question.job, chain, endpoint)


def _read(file: Path) -> bytes:
    from node.proof.bundle import MAX_BYTES

    try:
        if str(file) == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with file.expanduser().open("rb") as source:
            return source.read(MAX_BYTES + 1)
    except OSError as error:
        raise GpunodeError(f"{file} cannot be read: {error.strerror or error}", hint="name the bundle's file") from None


def closing(known: dict[str, Any]) -> str:
    """The line below the checks of a bundle."""
    if not known["ok"]:
        return "This bundle does not verify."
    if not known["verified"].get("receipt_signature"):
        return "Nothing failed. The bundle holds no receipt: it proves who made it, and nothing of what it says."
    if known["verified"].get("settled") is None:
        return (
            "Nothing failed, without a chain: that the job was settled and paid is not checked. --cluster or --rpc"
            " asks one. Nothing here shows that a model's answer is right, nor which physical GPU worked."
        )
    return "Nothing failed. This does not show that a model's answer is right, nor which physical GPU worked."
