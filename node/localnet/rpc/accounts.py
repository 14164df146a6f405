"""Methods that read accounts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from node.localnet.rpc.accounts_json import AccountStyle
from node.localnet.rpc.context import Methods, reader, with_context
from node.localnet.rpc.errors import INVALID_REQUEST, RpcError
from node.localnet.rpc.filters import check_token_filters, parse_filters
from node.localnet.rpc.params import Params, pubkey
from node.localnet.slots import Block
from node.localnet.validator import Validator

_MOST_ACCOUNTS = 100
_MOST_BYTES = 10 * 1024 * 1024
"""Of an account."""


class AccountMethods:
    """getAccountInfo and its like."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    def table(self) -> Methods:
        """Methods by name."""
        return {
            "getAccountInfo": self.account_info,
            "getBalance": self.balance,
            "getMultipleAccounts": self.multiple_accounts,
            "getProgramAccounts": self.program_accounts,
            "getMinimumBalanceForRentExemption": self.minimum_rent,
        }

    def account_info(self, params: Params) -> Any:
        """One account, null where there is none."""
        key, config = params.pubkey(0), params.config(1)
        block = config.view(self._validator.slots)
        return with_context(block, self._one(key, AccountStyle.of(config), block))

    def balance(self, params: Params) -> Any:
        """Lamports of an account, 0 where there is none."""
        key = params.pubkey(0)
        block = params.config(1).view(self._validator.slots)
        account = self._validator.bank.account(key, block.slot)
        return with_context(block, account.lamports if account else 0)

    def multiple_accounts(self, params: Params) -> Any:
        """Up to 100 accounts, each null where there is none."""
        keys = [pubkey(value) for value in params.items(0, _MOST_ACCOUNTS)]
        config = params.config(1)
        style = AccountStyle.of(config, "base64")
        block = config.view(self._validator.slots)
        return with_context(block, [self._one(key, style, block) for key in keys])

    def program_accounts(self, params: Params) -> Any:
        """All accounts of a program that pass the filters."""
        owner, config = params.pubkey(0), params.config(1)
        filters, style = parse_filters(config), AccountStyle.of(config)
        block = config.view(self._validator.slots)
        check_token_filters(owner, filters)
        found = [
            keyed(key, account, style, self._validator, block)
            for key, account in in_order(self._validator.bank.program_accounts(owner, block.slot))
            if all(entry.passes(account) for entry in filters)
        ]
        return with_context(block, found) if config.flag("withContext") else found

    def minimum_rent(self, params: Params) -> Any:
        """Lamports that make an account of so many bytes rent-exempt."""
        size = params.integer(0)
        if size > _MOST_BYTES:
            raise RpcError(INVALID_REQUEST, "Invalid request")
        params.config(1).commitment()
        return self._validator.bank.minimum_rent(size)

    def _one(self, key: Pubkey, style: AccountStyle, block: Block) -> Any:
        read = reader(self._validator, block)
        account = read(key)
        return style.apply(key, account, read) if account is not None else None


def keyed(key: Pubkey, account: Account, style: AccountStyle, validator: Validator, block: Block) -> dict[str, Any]:
    """An account with its address, as lists give it."""
    return {"pubkey": str(key), "account": style.apply(key, account, reader(validator, block))}


def in_order(rows: Iterable[tuple[Pubkey, Account]]) -> list[tuple[Pubkey, Account]]:
    """Accounts in the order of their addresses' bytes, as lists give them."""
    return sorted(rows, key=lambda row: bytes(row[0]))
