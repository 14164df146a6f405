"""Methods that read SPL token accounts."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from node.localnet import spl
from node.localnet.rpc.accounts import in_order, keyed
from node.localnet.rpc.accounts_json import AccountStyle
from node.localnet.rpc.context import Methods, with_context
from node.localnet.rpc.errors import invalid_params
from node.localnet.rpc.params import Params, pubkey
from node.localnet.slots import Block
from node.localnet.validator import Validator

_LARGEST = 20


class TokenMethods:
    """getTokenAccountBalance and its like."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    def table(self) -> Methods:
        """Methods by name."""
        return {
            "getTokenAccountBalance": self.account_balance,
            "getTokenAccountsByOwner": self.accounts_by_owner,
            "getTokenAccountsByDelegate": self.accounts_by_delegate,
            "getTokenSupply": self.supply,
            "getTokenLargestAccounts": self.largest_accounts,
        }

    def account_balance(self, params: Params) -> Any:
        """The balance of one token account."""
        key = params.pubkey(0)
        block = params.config(1).view(self._validator.slots)
        account = self._account(key, block)
        token = spl.token_account(account)
        if token is None:
            raise invalid_params("Invalid param: not a Token account")
        return with_context(block, spl.amount_json(token.amount, self._decimals(token.mint, block)[1]))

    def accounts_by_owner(self, params: Params) -> Any:
        """Token accounts that belong to a wallet, of one mint or one token program."""
        return self._of_wallet(params, lambda token: token.owner)

    def accounts_by_delegate(self, params: Params) -> Any:
        """Token accounts that a wallet may spend from as delegate."""
        return self._of_wallet(params, lambda token: token.delegate)

    def supply(self, params: Params) -> Any:
        """How much of a mint exists."""
        key = params.pubkey(0)
        block = params.config(1).view(self._validator.slots)
        account = self._account(key, block)
        if not spl.is_token_program(account.owner):
            raise invalid_params("Invalid param: not a Token mint")
        minted = spl.mint(account)
        if minted is None:
            raise invalid_params("Invalid param: mint could not be unpacked")
        return with_context(block, spl.amount_json(minted.supply, minted.decimals))

    def largest_accounts(self, params: Params) -> Any:
        """The 20 token accounts that hold most of a mint."""
        key = params.pubkey(0)
        block = params.config(1).view(self._validator.slots)
        program, decimals = self._decimals(key, block)
        if not spl.is_token_program(program):
            raise invalid_params("Invalid param: not a Token mint")
        held = (
            (token.amount, bytes(address), address)
            for address, account in self._all(block, program)
            if (token := spl.token_account(account)) is not None and token.mint == key
        )
        rows = heapq.nlargest(_LARGEST, held)
        value = [{"address": str(address), **spl.amount_json(amount, decimals)} for amount, _, address in rows]
        return with_context(block, value)

    def _account(self, key: Pubkey, block: Block) -> Account:
        account = self._validator.bank.account(key, block.slot)
        if account is None:
            raise invalid_params("Invalid param: could not find account")
        return account

    def _decimals(self, key: Pubkey, block: Block) -> tuple[Pubkey, int]:
        """The owner of what is at a mint's address, and its decimals."""
        account = self._validator.bank.account(key, block.slot)
        if account is None:
            raise invalid_params("Invalid param: could not find mint")
        minted = spl.mint_of(account.data)
        if minted is None:
            raise invalid_params("Invalid param: Token mint could not be unpacked")
        return account.owner, minted.decimals

    def _all(self, block: Block, program: Pubkey) -> list[tuple[Pubkey, Account]]:
        return self._validator.bank.program_accounts(program, block.slot)

    def _of_wallet(self, params: Params, role: Callable[[spl.TokenAccount], Pubkey | None]) -> Any:
        wallet, selector, config = params.pubkey(0), params.get(1), params.config(2)
        named = {name: pubkey(value) for name, value in selector.items()}
        style = AccountStyle.of(config)
        block = config.view(self._validator.slots)
        program, wanted = self._selected(named, block)
        found = [
            keyed(address, account, style, self._validator, block)
            for address, account in in_order(self._all(block, program))
            if (token := spl.token_account(account)) is not None
            and role(token) == wallet
            and wanted in (None, token.mint)
        ]
        return with_context(block, found)

    def _selected(self, named: Mapping[str, Pubkey], block: Block) -> tuple[Pubkey, Pubkey | None]:
        if "mint" not in named:
            if not spl.is_token_program(named["programId"]):
                raise invalid_params("Invalid param: unrecognized Token program id")
            return named["programId"], None
        owner, _ = self._decimals(named["mint"], block)
        if not spl.is_token_program(owner):
            raise invalid_params("Invalid param: not a Token mint")
        return owner, named["mint"]
