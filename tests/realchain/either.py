"""What a test needs of a chain that may be the embedded one or a real node."""

from __future__ import annotations

from solders.keypair import Keypair

from node.chain.addresses import to_address
from node.chain.instructions.markets import MarketTerms, open_market
from node.localnet.app import Localnet
from node.records import Address
from tests.realchain.chain import RealChain
from tests.realchain.sending import Sender

EitherChain = Localnet | RealChain


async def give(net: EitherChain, address: Address, *, sol: float = 0, nos: float = 0) -> None:
    """SOL and NOS (whole ones); confirmed when it returns."""
    if isinstance(net, Localnet):
        net.endow(address, sol=sol, nos=nos)
    else:
        await net.fund(address, sol=sol, nos=nos)


async def own_market(net: EitherChain) -> Address:
    """A market that no other test uses, at 1,000 micro-NOS a second.

    An embedded chain is a test's own and so is its market; a real node is shared, and a new market is opened there.
    """
    if isinstance(net, Localnet):
        assert net.market is not None
        return net.market
    owner, key = net.keys["market-authority"], Keypair()
    market = to_address(key.pubkey())
    terms = MarketTerms(job_price=1_000)
    opening = open_market(net.cluster, market=market, authority=to_address(owner.pubkey()), terms=terms)
    async with Sender.open(net.rpc_url) as sender:
        await sender.send([opening], owner, key)
    return market
