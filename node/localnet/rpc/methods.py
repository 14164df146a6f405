"""Every method that a node answers by HTTP, in one table."""

from __future__ import annotations

from collections.abc import Callable

from node.localnet.rpc.accounts import AccountMethods
from node.localnet.rpc.blocks import BlockMethods
from node.localnet.rpc.cluster import ClusterMethods
from node.localnet.rpc.context import Methods
from node.localnet.rpc.network import NetworkMethods
from node.localnet.rpc.supply import SupplyMethods
from node.localnet.rpc.tokens import TokenMethods
from node.localnet.rpc.transactions import TransactionMethods
from node.localnet.validator import Validator


def node_methods(validator: Validator, places: Callable[[], tuple[str, str]]) -> Methods:
    """Methods by name. `places` gives HOST:PORT of the RPC server and of the sockets, once they listen."""
    return {
        **AccountMethods(validator).table(),
        **TokenMethods(validator).table(),
        **TransactionMethods(validator).table(),
        **BlockMethods(validator).table(),
        **ClusterMethods(validator).table(),
        **NetworkMethods(validator, places).table(),
        **SupplyMethods(validator).table(),
    }
