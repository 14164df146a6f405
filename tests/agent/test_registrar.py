"""The NodeAccount and the host card follow the hardware, on the embedded chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from node.agent.host import DiskSpeed, HostFacts
from node.agent.papers import host_card
from node.agent.registrar import Registrar
from node.chain.outbox import MemoryStore, Outbox
from node.chain.policy import NODE_KINDS, SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.wallet import Signer, Wallet
from node.content.library import Library
from node.content.store import LocalStore
from node.journal.journal import Journal
from node.localnet.app import Localnet
from node.market import register
from node.market.context import MarketContext
from node.proof.card import verify_card
from node.records import Gpu
from node.retry import SystemClock
from node.settings import HostSettings, StakeSettings
from tests.agent.doubles import GPU

FACTS = HostFacts(
    machine="x86_64",
    architecture=0,
    cpus=8,
    memory_bytes=2**34,
    storage_bytes=2**38,
    disk=DiskSpeed(iops=10_000, direct=True, measured_at=1.0),
    kernel="6",
)


@dataclass
class Desk:
    """One key on a chain."""

    context: MarketContext
    signer: Signer
    folder: Path
    journal: Journal

    async def ensure(self, facts: HostFacts = FACTS, gpus: tuple[Gpu, ...] = (GPU,)) -> int:
        """Bring the registration up to date; how many transactions the account has seen since its making."""
        store = LocalStore(self.folder / "content")
        registrar = Registrar(
            facts=facts,
            host=HostSettings(country="NL"),
            version="1.2.3",
            publisher=Library([store], []),
            journal=self.journal,
            make_card=lambda found, offered: host_card(self.signer, found, offered),
        )
        await registrar.ensure(self.context, gpus)
        account = register.addresses.node_account(self.context.cluster, self.context.node)
        return len(await self.context.rpc.get_signatures_for_address(account))


@pytest.fixture
async def desk(localnet: Localnet, tmp_path: Path) -> AsyncIterator[Desk]:
    wallet = Wallet.create(tmp_path / "node.json")
    localnet.endow(wallet.address, sol=1)
    async with Rpc([localnet.rpc_url]) as rpc, await Journal.open(tmp_path / "journal.sqlite") as journal:
        signer = wallet.signer(SpendingPolicy(localnet.cluster, NODE_KINDS))
        async with asyncio.timeout(10):
            # Confirmed reads must see the gift.
            while not await rpc.get_balance(wallet.address):
                await asyncio.sleep(0.05)
        context = MarketContext(
            cluster=localnet.cluster,
            rpc=rpc,
            outbox=Outbox(rpc, signer, MemoryStore()),
            lane="main",
            node=wallet.address,
            payout=None,
            stake=StakeSettings(),
            clock=SystemClock(),
        )
        yield Desk(context, signer, tmp_path, journal)


async def test_registered_once_and_updated_when_the_hardware_changes(desk: Desk) -> None:
    assert await desk.ensure() == 1
    known = await register.read(desk.context, desk.context.node)
    assert known is not None
    assert (known.profile.country, known.profile.gpu, known.profile.version) == (528, 1, "1.2.3")
    first = await register.card_of(desk.context, desk.context.node)
    assert first is not None

    assert await desk.ensure() == 1, "nothing changed, nothing is sent"
    faster = replace(FACTS, disk=DiskSpeed(iops=14_000, direct=True, measured_at=90_000.0))
    assert await desk.ensure(faster) == 1, "a disk never measures the same twice"

    another = replace(GPU, index=1, uuid="GPU-sim-1")
    assert await desk.ensure(gpus=(GPU, another)) == 2
    known = await register.read(desk.context, desk.context.node)
    assert known is not None
    assert known.profile.gpu == 2
    second = await register.card_of(desk.context, desk.context.node)
    assert second not in (None, first)
    assert second is not None
    card = verify_card((desk.folder / "content" / second).read_bytes(), desk.context.node)
    assert [gpu.uuid for gpu in card.gpus] == ["GPU-sim-0", "GPU-sim-1"]

    much_faster = replace(FACTS, disk=DiskSpeed(iops=40_000, direct=True, measured_at=90_000.0))
    assert await desk.ensure(much_faster, gpus=(GPU, another)) == 3
    known = await register.read(desk.context, desk.context.node)
    assert known is not None
    assert known.profile.iops == 40_000
