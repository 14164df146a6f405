"""The localnet's own methods, beside a node's: answered to this machine only, but for requestAirdrop.

`localnet_info []`: what the chain is: cluster address set, program hashes, mint, market and named addresses.

`localnet_faucet [address, {"lamports": N, "nos": M}]`: N lamports and M micro-NOS to the address; its NOS token
account is created if missing. Answers `{"signature", "lamports", "nos", "tokenAccount"}`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from node.chain.addresses import to_address
from node.localnet.faucet import Faucet
from node.localnet.rpc.context import Methods
from node.localnet.rpc.params import Params


class AdminMethods:
    """requestAirdrop, and what only a localnet has. `describe` gives the answer of localnet_info."""

    def __init__(self, faucet: Faucet, describe: Callable[[], dict[str, Any]]) -> None:
        self._faucet = faucet
        self._describe = describe

    def public(self) -> Methods:
        """Methods for everybody."""
        return {"requestAirdrop": self.airdrop}

    def local(self) -> Methods:
        """Methods for this machine only."""
        return {"localnet_faucet": self.give, "localnet_info": lambda _: self._describe()}

    def airdrop(self, params: Params) -> Any:
        """Lamports from the faucet; the signature."""
        key, lamports = params.pubkey(0), params.integer(1)
        params.config(2).commitment()
        return self._faucet.give(to_address(key), lamports=lamports).signature

    def give(self, params: Params) -> Any:
        """Lamports and micro-NOS from the faucet."""
        key, config = params.pubkey(0), params.config(1)
        gift = self._faucet.give(
            to_address(key), lamports=config.integer("lamports") or 0, nos=config.integer("nos") or 0
        )
        return {
            "signature": gift.signature,
            "lamports": gift.lamports,
            "nos": gift.nos,
            "tokenAccount": gift.token_account,
        }
