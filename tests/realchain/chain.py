"""The real node with the genesis of the embedded chain: same programs, accounts, keys and market."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from solders.compute_budget import set_compute_unit_limit
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair

from node.chain.addresses import to_address, to_key, token_account
from node.chain.clusters import Cluster, IdSet
from node.chain.instructions.tokens import create_token_account, transfer_lamports
from node.localnet.app import Localnet
from node.localnet.export import export_chain
from node.localnet.options import LocalnetOptions
from node.records import Address
from tests.realchain.process import running_validator
from tests.realchain.sending import Sender

TICKS = 64
"""Of a real slot, 6.25 ms each: 400 ms."""
FAST_TICKS = 8
"""Slots of 50 ms, for tests that do not look at time."""
_MINT_TO = 7
"""Instruction number of the SPL Token program."""
_UNITS = 100_000


@dataclass(frozen=True)
class RealChain:
    """A running node. Made by `RealChain.start`; the names are those of `Localnet`."""

    rpc_url: str
    ws_url: str
    content_url: str
    """Of the embedded chain's content store; a real node has none."""
    cluster: Cluster
    keys: Mapping[str, Keypair]
    market: Address
    mint: Address
    _turns: itertools.count[int] = field(default_factory=itertools.count)

    @staticmethod
    @asynccontextmanager
    async def start(
        folder: Path,
        *,
        ids: IdSet = "devnet",
        market_price: int = 1_000,
        ticks_per_slot: int = TICKS,
        arguments: Sequence[str] = (),
    ) -> AsyncIterator[RealChain]:
        """Export a fresh chain's genesis into `folder` and run the node on it for as long as the block lasts.

        `market_price` is in micro-NOS per second. Raises ValidatorFailed.
        """
        options = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0, ids=ids, market_price=market_price)
        speed = [] if ticks_per_slot == TICKS else ["--ticks-per-slot", str(ticks_per_slot)]
        # No slot passes on the embedded chain, and nobody asks it again; its content store goes on serving.
        async with Localnet.start(options) as net:
            assert net.market is not None
            command = export_chain(net, folder)
            async with running_validator([*command[1:], *speed, *arguments]) as node:
                yield RealChain(
                    node.rpc_url, node.ws_url, net.content_url, net.cluster, dict(net.keys), net.market, net.mint
                )

    async def fund(self, address: Address, *, sol: float = 0, nos: float = 0) -> None:
        """SOL from the faucet's key and NOS of the mint's authority (whole ones, fractions allowed); confirmed
        when it returns."""
        faucet, mint_authority = self.keys["faucet"], self.keys["mint-authority"]
        giver = to_address(faucet.pubkey())
        # The limit differs from call to call: two equal gifts are then not one transaction.
        instructions = [set_compute_unit_limit(_UNITS + next(self._turns))]
        if sol:
            lamports = round(sol * 10**9)
            instructions.append(transfer_lamports(source=giver, destination=address, lamports=lamports))
        if nos:
            instructions.append(create_token_account(self.cluster, payer=giver, owner=address))
            instructions.append(self._mint_to(token_account(self.cluster, address), round(nos * 10**6)))
        async with Sender.open(self.rpc_url) as sender:
            await sender.send(instructions, faucet, *([mint_authority] if nos else []))

    def _mint_to(self, account: Address, amount: int) -> Instruction:
        return Instruction(
            to_key(self.cluster.token),
            bytes([_MINT_TO]) + amount.to_bytes(8, "little"),
            [
                AccountMeta(to_key(self.mint), is_signer=False, is_writable=True),
                AccountMeta(to_key(account), is_signer=False, is_writable=True),
                AccountMeta(self.keys["mint-authority"].pubkey(), is_signer=True, is_writable=False),
            ],
        )
