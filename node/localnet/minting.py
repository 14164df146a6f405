"""Tokens out of nothing: of a mint whose authority is one of the chain's keys by its program, of any other past it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from solders.account import Account
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from node.chain.addresses import to_address, to_key, token_account
from node.chain.clusters import localnet
from node.chain.instructions.build import signs, u64, writes
from node.chain.instructions.tokens import create_token_account
from node.errors import LocalnetError
from node.localnet import spl
from node.localnet.keys import Keys
from node.localnet.sending import send
from node.localnet.validator import Validator

_MINT_TO = bytes([7])
"""Instruction of the SPL Token program and of Token-2022."""
WRAPPED_SOL = Pubkey.from_string("So11111111111111111111111111111111111111112")
_MOST = 2**64 - 1
_AMOUNT = struct.Struct("<Q")
_AMOUNT_AT = 64
"""Offset of a token account's amount."""
_SUPPLY_AT = 36
"""Offset of a mint's supply."""


@dataclass(frozen=True, slots=True)
class Minting:
    """What has to be done so that an owner gets tokens."""

    mint: Pubkey
    account: Pubkey
    """The token account that gets them."""
    amount: int
    """In the mint's smallest unit."""
    instructions: tuple[Instruction, ...]
    """Makes the token account where it is missing, and mints where the authority is ours."""
    signer: Keypair | None
    """The mint's authority; None where it is nobody's here, so that the accounts have to be set."""


class Mints:
    """The mints of a chain."""

    def __init__(self, validator: Validator, keys: Keys) -> None:
        self._validator = validator
        self._keys = keys

    def mint(self, mint: Pubkey, to: Pubkey, amount: int) -> tuple[Minting, str | None]:
        """Mint to a token account, or to an owner's associated one; the signature where there was a transaction.

        Raises LocalnetError for a mint or an account that is none, or an amount that does not fit.
        """
        plan = self.plan(mint, to, amount)
        signature = None
        if plan.instructions:
            signers = [plan.signer] if plan.signer is not None else []
            signature = send(self._validator, self._keys["faucet"], plan.instructions, *signers)
        self.complete(plan)
        return plan, signature

    def plan(self, mint: Pubkey, to: Pubkey, amount: int) -> Minting:
        """What `mint` will do. Raises LocalnetError as it does."""
        held = self._read(mint)
        info = spl.mint(held) if held is not None else None
        if held is None or info is None:
            raise LocalnetError(f"{mint} is no token mint on this chain", hint="Create the mint first.")
        if mint == WRAPPED_SOL:
            raise LocalnetError("wrapped SOL is not minted", hint="Send SOL to the token account, then sync it.")
        if not 0 < amount <= _MOST - info.supply:
            raise LocalnetError(
                f"{amount} cannot be minted: a supply is at most {_MOST}, and it is {info.supply}",
                hint="Amounts are whole numbers of the mint's smallest unit.",
            )
        instructions: list[Instruction] = []
        account, found = to, self._token_account(to)
        if found is None:
            # The token programs have the same addresses on every cluster.
            cluster, faucet = localnet(), to_address(self._keys["faucet"].pubkey())
            wanted = {"owner": to_address(to), "mint": to_address(mint), "program": to_address(held.owner)}
            account = to_key(token_account(cluster, **wanted))
            instructions.append(create_token_account(cluster, payer=faucet, **wanted))
        elif found.mint != mint:
            raise LocalnetError(
                f"{to} is a token account of another mint, {found.mint}", hint="Name its owner, or another account."
            )
        signer = next((key for key in self._keys.values() if key.pubkey() == info.authority), None)
        if signer is not None:
            instructions.append(_mint_to(held.owner, mint, account, signer.pubkey(), amount))
        return Minting(mint, account, amount, tuple(instructions), signer)

    def complete(self, plan: Minting) -> None:
        """After its instructions: set both accounts where no transaction could mint."""
        if plan.signer is not None:
            return
        for key, offset in ((plan.mint, _SUPPLY_AT), (plan.account, _AMOUNT_AT)):
            account = self._read(key)
            assert account is not None
            self._validator.place(key, _raised(account, offset, plan.amount))

    def _token_account(self, key: Pubkey) -> spl.TokenAccount | None:
        account = self._read(key)
        return spl.token_account(account) if account is not None else None

    def _read(self, key: Pubkey) -> Account | None:
        return self._validator.bank.account(key, self._validator.slots.head.slot)


def _raised(account: Account, offset: int, amount: int) -> Account:
    data = bytearray(account.data)
    (before,) = _AMOUNT.unpack_from(data, offset)
    _AMOUNT.pack_into(data, offset, before + amount)
    return Account(account.lamports, bytes(data), account.owner, account.executable)


def _mint_to(program: Pubkey, mint: Pubkey, account: Pubkey, authority: Pubkey, amount: int) -> Instruction:
    accounts = [writes(to_address(mint)), writes(to_address(account)), signs(to_address(authority))]
    return Instruction(program, _MINT_TO + u64(amount), accounts)
