"""A market on either chain, a host's context and a poster's, as the tests of this room need them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest_asyncio
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from node.chain.fees import FeePolicy
from node.chain.outbox import MemoryStore, Outbox, Pace
from node.chain.policy import NODE_KINDS, OWNER_KINDS, POSTER_KINDS, SpendingPolicy
from node.chain.rpc import Rpc
from node.chain.shapes import ANYONE
from node.chain.wallet import Signer, Wallet
from node.content.cid import file_cid
from node.market.context import MarketContext
from node.market.effects import effect_of_row
from node.market.poster import Posted, Poster
from node.records import Address, Cid
from node.retry import SystemClock
from node.settings import StakeSettings
from tests.realchain.either import EitherChain, give, own_market

FAST = Pace(resend=0.2, poll=0.02, poll_longest=0.1, expiry=0.5, renew=5.0, tend=0.2)
DEFINITION = file_cid(b"a definition")


@dataclass(frozen=True)
class Town:
    """The chain and the people on it."""

    net: EitherChain
    rpc: Rpc
    market: Address
    person: Callable[..., Awaitable[MarketContext]]
    keys: dict[Address, Path]

    async def post(self, poster: MarketContext, timeout: int = 60, definition: Cid = DEFINITION) -> Posted:
        """A job posted into the market."""
        return await Poster(poster).post(await poster.ledger.market(self.market), definition, timeout)

    async def give(self, address: Address, *, sol: float = 0, nos: float = 0) -> None:
        """A gift, confirmed."""
        await give(self.net, address, sol=sol, nos=nos)

    def signer(self, owner: Address) -> Signer:
        """A signer of a person, for an outbox of the test's own."""
        return Wallet.load(self.keys[owner]).signer(SpendingPolicy(self.net.cluster, NODE_KINDS))

    async def sign_and_send(self, owner: Address, *instructions: Instruction) -> None:
        """A transaction that no policy of ours would sign, as somebody else's software might."""
        key = Keypair.from_json(self.keys[owner].read_text())
        latest = await self.rpc.get_latest_blockhash()
        message = MessageV0.try_compile(key.pubkey(), list(instructions), [], Hash.from_string(latest.blockhash))
        signature = await self.rpc.send_raw(bytes(VersionedTransaction(message, [key])))
        async with asyncio.timeout(10):
            while True:
                (status,) = await self.rpc.get_signature_statuses([signature])
                if status is not None and status.reached("confirmed"):
                    assert status.error is None, status
                    return
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture
async def town(either_chain: EitherChain, tmp_path: Path) -> AsyncIterator[Town]:
    """A chain with its market; `person(sol=, nos=)` makes a funded wallet's context."""
    net = either_chain
    async with AsyncExitStack() as stack:
        rpc = await stack.enter_async_context(Rpc([net.rpc_url]))
        count = iter(range(100))
        keys: dict[Address, Path] = {}

        async def person(sol: float = 1.0, nos: float = 0.0, payout: Address | None = None) -> MarketContext:
            path = tmp_path / f"wallet-{next(count)}.json"
            wallet = Wallet.create(path)
            keys[wallet.address] = path
            await give(net, wallet.address, sol=sol, nos=nos)
            every = {**NODE_KINDS, **POSTER_KINDS, **OWNER_KINDS}
            policy = SpendingPolicy(net.cluster, every, payout=payout, receivers=ANYONE)
            outbox = Outbox(
                rpc,
                wallet.signer(policy),
                MemoryStore(),
                FeePolicy(),
                pace=FAST,
                effects=effect_of_row(net.cluster),
            )
            return MarketContext(
                cluster=net.cluster,
                rpc=rpc,
                outbox=outbox,
                lane="main",
                node=wallet.address,
                payout=payout,
                stake=StakeSettings(),
                clock=SystemClock(),
            )

        yield Town(net, rpc, await own_market(net), person, keys)
