"""The faucet: SOL from a rich key, NOS freshly minted."""

from __future__ import annotations

from dataclasses import dataclass

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from node.chain.addresses import to_address, to_key, token_account
from node.chain.clusters import Cluster
from node.chain.instructions.tokens import create_token_account, transfer_lamports
from node.errors import LocalnetError
from node.localnet.keys import Keys
from node.localnet.sending import send
from node.localnet.validator import Validator
from node.records import Address

_MINT_TO = 7
"""Instruction number of the SPL Token program."""
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

    def give(self, address: Address, *, lamports: int = 0, nos: int = 0) -> Gift:
        """Send lamports and mint micro-NOS to the owner's token account, which is made if missing.

        Raises LocalnetError for an amount out of range.
        """
        if not (0 <= lamports <= MOST_LAMPORTS and 0 <= nos <= MOST_NOS) or lamports + nos == 0:
            raise LocalnetError(
                "the faucet gives more than nothing, and at most 10,000,000 SOL and 100,000,000 NOS at once",
                hint="Ask for an amount in that range.",
            )
        faucet = self._keys["faucet"]
        giver = to_address(faucet.pubkey())
        instructions: list[Instruction] = []
        account = None
        if lamports:
            instructions.append(transfer_lamports(source=giver, destination=address, lamports=lamports))
        if nos:
            account = token_account(self._cluster, address)
            instructions.append(create_token_account(self._cluster, payer=giver, owner=address))
            instructions.append(self._mint_to(to_key(account), nos))
        signature = send(self._validator, faucet, instructions, *([self._keys["mint-authority"]] if nos else []))
        return Gift(signature, lamports, nos, account)

    def _mint_to(self, account: Pubkey, amount: int) -> Instruction:
        return Instruction(
            to_key(self._cluster.token),
            bytes([_MINT_TO]) + amount.to_bytes(8, "little"),
            [
                AccountMeta(to_key(self._cluster.nos_mint), is_signer=False, is_writable=True),
                AccountMeta(account, is_signer=False, is_writable=True),
                AccountMeta(self._keys["mint-authority"].pubkey(), is_signer=True, is_writable=False),
            ],
        )
