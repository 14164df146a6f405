"""Opens what commands need that send transactions: the wallet, its policy and a durable outbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from solders.keypair import Keypair

from node.chain.clusters import Cluster
from node.chain.fees import FeePolicy
from node.chain.outbox import MemoryStore, Outbox
from node.chain.policy import Kinds, SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.wallet import Wallet
from node.cli import output
from node.journal.journal import Journal
from node.market.context import MarketContext
from node.paths import default_paths
from node.records import Address
from node.retry import SystemClock
from node.settings import FeeSettings, StakeSettings

if TYPE_CHECKING:
    from node.settings import Settings


@asynccontextmanager
async def spending(
    wallet: Wallet,
    kinds: Kinds,
    cluster: Cluster,
    rpc: Rpc,
    settings: Settings | None,
    receivers: frozenset[Address] = frozenset(),
    payout: Address | None = None,
) -> AsyncIterator[MarketContext]:
    """A context in which the wallet sends transactions of these kinds, and pays nobody but the `receivers` and `payout`
    (which may be a token account).

    What an earlier command left on its way (it was interrupted) is driven to its end first, so that doing a thing
    again never does it twice unnoticed.
    """
    genesis = await rpc.get_genesis_hash()
    # Apart from the agent's journal: another wallet, perhaps another chain, perhaps no agent on this host at all.
    folder = settings.locations.data if settings is not None else default_paths().data
    journal = await Journal.open(folder / f"commands-{genesis[:12]}.sqlite")
    fees = settings.fees if settings is not None else FeeSettings()
    clock = SystemClock()
    try:
        outbox = Outbox(
            rpc,
            wallet.signer(SpendingPolicy(cluster, kinds, payout=payout, receivers=receivers)),
            journal.outbox,
            FeePolicy(fees.floor, fees.cap, fees.percentile),
            clock,
            book=journal.outbox.book,
        )
        for earlier in await outbox.resume(wallet.address):
            end = f"landed as {earlier.landed.signature}" if earlier.landed else f"failed: {earlier.failure}"
            output.note(f"an interrupted command's transaction {earlier.row.key} {end}")
        await outbox.tidy(wallet.address)
        yield MarketContext(cluster, rpc, outbox, wallet.address, wallet.address, None, StakeSettings(), clock)
    finally:
        await journal.close()


def watching(address: Address, cluster: Cluster, rpc: Rpc) -> MarketContext:
    """A context that only reads: the key behind its outbox signs nothing, whatever the address."""
    nobody = Wallet(Keypair()).signer(SpendingPolicy(cluster, {}))
    clock = SystemClock()
    return MarketContext(
        cluster, rpc, Outbox(rpc, nobody, MemoryStore()), address, address, None, StakeSettings(), clock
    )
