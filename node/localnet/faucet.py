"""The faucet: SOL from a rich key, NOS freshly minted."""

from __future__ import annotations

from dataclasses import dataclass

from solders.instruction import Instruction

from node.chain.addresses import to_address, to_key
from node.chain.clusters import Cluster
from node.chain.instructions.tokens import transfer_lamports
from node.errors import LocalnetError
from node.localnet.keys import Keys
from node.localnet.minting import Mints
from node.localnet.sending import send
from node.localnet.validator import Validator
from node.records import Address

MOST_LAMPORTS = 10_000_000 * 10**9
MOST_NOS = 100_000_000 * 10**6
"""The most given at once."""


@dataclass(frozen=True, slots=True)
class Gift:
    """What the faucet gave: lamports and micro-NOS, and where the NOS lie."""

    signature: str
    lamports: int
    nos: int
    token_account: Address | None


class Faucet:
    """Gives SOL and NOS to anyone who asks."""

    def __init__(self, validator: Validator, cluster: Cluster, keys: Keys) -> None:
        self._validator = validator
        self._cluster = cluster
        self._keys = keys
        self._mints = Mints(validator, keys)

    def give(self, address: Address, *, lamports: int = 0, nos: int = 0) -> Gift:
        """Send lamports and mint micro-NOS to the owner's token account, which is made if missing.

        Raises LocalnetError for an amount out of range, and where the chain has no NOS mint yet.
        """
        if not (0 <= lamports <= MOST_LAMPORTS and 0 <= nos <= MOST_NOS) or lamports + nos == 0:
            raise LocalnetError(
                "the faucet gives more than nothing, and at most 10,000,000 SOL and 100,000,000 NOS at once",
                hint="Ask for an amount in that range.",
            )
        faucet = self._keys["faucet"]
        instructions: list[Instruction] = []
        if lamports:
            giver = to_address(faucet.pubkey())
            instructions.append(transfer_lamports(source=giver, destination=address, lamports=lamports))
        plan = self._mints.plan(to_key(self._cluster.nos_mint), to_key(address), nos) if nos else None
        if plan is not None:
            instructions += plan.instructions
        signers = [plan.signer] if plan is not None and plan.signer is not None else []
        signature = send(self._validator, faucet, instructions, *signers)
        if plan is not None:
            self._mints.complete(plan)
        return Gift(signature, lamports, nos, to_address(plan.account) if plan is not None else None)
