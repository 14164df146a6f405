"""What every step towards a market needs to know of its lane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solders.instruction import Instruction
from solders.keypair import Keypair

from node.chain.clusters import Cluster
from node.chain.gathering import Gathering
from node.chain.outbox import Intent, Landed, Outbox
from node.chain.rpc import Rpc
from node.market.effects import effect_of
from node.market.ledger import Ledger
from node.records import Address
from node.retry import Clock
from node.settings import StakeSettings


@dataclass(frozen=True, slots=True)
class MarketContext:
    """One lane's view of the chain: who it is, how it reads and how it sends."""

    cluster: Cluster
    rpc: Rpc
    outbox: Outbox
    lane: str
    node: Address
    """The lane's key on the market."""
    payout: Address | None
    """NOS token account, or owner of one, that is paid; None: the node's own."""
    stake: StakeSettings
    clock: Clock
    gathering: Gathering | None = None
    """For looks of many lanes that need not be made at once; None: each is made by itself."""
    reopen_above: int = 1_000_000
    """Micro-NOS of pay from which the rent of a poster's closed NOS account is worth paying."""

    @property
    def own_slot(self) -> int:
        """The newest slot at which a transaction of this lane landed: no older view shows where the lane stands."""
        return self.outbox.newest_slot

    @property
    def ledger(self) -> Ledger:
        """Reads of the market programs' accounts."""
        return Ledger(self.cluster, self.rpc)

    @property
    def patient_ledger(self) -> Ledger:
        """As `ledger`, for looks that may wait for those of other lanes."""
        return Ledger(self.cluster, self.rpc, self.gathering)

    async def send(
        self,
        key: str,
        kind: str,
        instructions: Sequence[Instruction],
        signers: tuple[Keypair, ...] = (),
    ) -> Landed:
        """One transaction through the outbox, known by its effect. Raises what `Outbox.send` raises."""
        return await self.outbox.send(
            Intent(
                key=key,
                lane=self.lane,
                kind=kind,
                instructions=tuple(instructions),
                extra_signers=signers,
                effect=effect_of(self.cluster, instructions),
            )
        )
