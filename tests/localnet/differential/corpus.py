"""All requests: every method with the parameters clients send, and with those that are wrong.

Each has a name of its own, which its recorded answer is found by.
"""

from __future__ import annotations

from tests.localnet.differential.ask import Ask
from tests.localnet.differential.ask_accounts import accounts_requests, program_accounts_requests, tokens_requests
from tests.localnet.differential.ask_cluster import blocks_requests, cluster_requests
from tests.localnet.differential.ask_shapes import shapes_requests
from tests.localnet.differential.ask_transactions import simulations_requests, transactions_requests
from tests.localnet.differential.names import World
from tests.localnet.differential.remote import Chain


def requests(chain: Chain, world: World) -> list[Ask]:
    """All of them, for one chain. Raises ValueError where two have one name."""
    found = [
        *accounts_requests(world),
        *program_accounts_requests(chain, world),
        *tokens_requests(chain, world),
        *cluster_requests(),
        *blocks_requests(world),
        *transactions_requests(world),
        *simulations_requests(world),
        *shapes_requests(),
    ]
    names = [ask.name for ask in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"requests of one name: {twice}")
    return found
