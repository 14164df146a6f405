"""Keys that may work on a market."""

from __future__ import annotations

from solders.keypair import Keypair

from node.chain.instructions import staking
from node.localnet.app import Localnet
from node.localnet.sending import send
from node.records import Address

STAKE_SECONDS = 14 * 86_400


def new_node(net: Localnet) -> Keypair:
    """A key with 1 SOL, 1 NOS and the stake account that every node needs, empty."""
    key = Keypair()
    address = Address(str(key.pubkey()))
    net.endow(address, sol=1, nos=1)
    send(net.validator, key, [staking.stake(net.cluster, authority=address, amount=0, duration=STAKE_SECONDS)])
    return key
