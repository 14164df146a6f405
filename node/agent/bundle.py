"""Makes the bundle of a run out of the journal and the data folder, with or without an agent that works on them.

A run that is not settled, or was given back, has a bundle too: it holds what there is and says what it lacks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from node.agent.bundle_parts import BundleWish, PartsDesk
from node.agent.bundle_sources import Sources, records_of
from node.errors import ControlError, WalletError
from node.journal.reader import JournalReader
from node.proof.bundle import build_bundle
from node.proof.envelope import Sign
from node.records import (
    Address,
    JobSummary,
)
from node.settings import Settings

SignerOf = Callable[[JobSummary], Sign]
"""The signature of the key that the run was made with. Raises a GpunodeError where it is not at hand."""


def sign_with(keys: Mapping[Address, Sign], run: JobSummary) -> Sign:
    """The signature of the run's node, of the keys at hand. Raises WalletError where it is not among them."""
    sign = keys.get(run.node)
    if sign is None:
        raise WalletError(
            f"the run was made by node {run.node}; its key is not at hand",
            hint="name the key file that the lane had then with --wallet",
        )
    return sign


@dataclass(frozen=True, slots=True)
class BundleMaker:
    """Makes bundles of one journal's runs."""

    settings: Settings
    journal: JournalReader
    signer: SignerOf
    sources: Sources
    now: Callable[[], float] = time.time

    async def make(self, address: str, wish: BundleWish) -> bytes:
        """The signed bundle of a job's newest run, or of a run, by address.

        Raises ControlError for one that this host has not run, JournalError, and what `signer` raises.
        """
        runs = await self.journal.job(address)
        if not runs:
            raise ControlError(f"{address}: this host has run no such job", hint="see `gpunode jobs`")
        run = runs[0]
        sign = self.signer(run)
        desk = PartsDesk(self.settings, self.journal, self.sources, run, wish, await records_of(self.journal, run.run))
        await desk.collect()
        account = desk.account(await self.journal.meta("genesis_hash"), self.now())
        return await asyncio.to_thread(build_bundle, account, desk.parts, sign)
