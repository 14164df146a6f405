"""Methods that read SPL token accounts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solders.account import Account
from solders.pubkey import Pubkey

from node.localnet import spl
from node.localnet.rpc.accounts import keyed
from node.localnet.rpc.accounts_json import AccountStyle, decimals_of
from node.localnet.rpc.context import Methods, reader, with_context
from node.localnet.rpc.errors import INVALID_PARAMS, RpcError, invalid_params
from node.localnet.rpc.params import Params, pubkey
from node.localnet.slots import Block
from node.localnet.validator import Validator

_TOKEN_PROGRAMS = (spl.TOKEN_PROGRAM, spl.TOKEN_2022_PROGRAM)


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
        account = self._validator.bank.account(key, block.slot)
        if account is None:
            raise RpcError(INVALID_PARAMS, "Invalid param: could not find account")
        token = spl.token_account(account)
        decimals = decimals_of(account, reader(self._validator, block))
        if token is None or decimals is None:
            raise RpcError(INVALID_PARAMS, "Invalid param: not a Token account")
        return with_context(block, spl.amount_json(token.amount, decimals))

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
        minted = self._mint(key, block)
        return with_context(block, spl.amount_json(minted.supply, minted.decimals))

    def largest_accounts(self, params: Params) -> Any:
        """The 20 token accounts that hold most of a mint."""
        key = params.pubkey(0)
        block = params.config(1).view(self._validator.slots)
        minted = self._mint(key, block)
        rows = sorted(
            (
                (token.amount, str(address))
                for address, account in self._all(block, _TOKEN_PROGRAMS)
                if (token := spl.token_account(account)) is not None and token.mint == key
            ),
            reverse=True,
        )[:20]
        value = [{"address": address, **spl.amount_json(amount, minted.decimals)} for amount, address in rows]
        return with_context(block, value)

    def _mint(self, key: Pubkey, block: Block) -> spl.Mint:
        account = self._validator.bank.account(key, block.slot)
        if account is None:
            raise RpcError(INVALID_PARAMS, "Invalid param: could not find account")
        found = spl.mint(account)
        if found is None:
            raise RpcError(INVALID_PARAMS, "Invalid param: not a Token mint")
        return found

    def _all(self, block: Block, programs: tuple[Pubkey, ...]) -> list[tuple[Pubkey, Account]]:
        bank = self._validator.bank
        return [row for program in programs for row in bank.program_accounts(program, block.slot)]

    def _of_wallet(self, params: Params, role: Callable[[spl.TokenAccount], Pubkey | None]) -> Any:
        wallet = params.pubkey(0)
        params.need(2)
        selector, config = params.config(1), params.config(2)
        style = AccountStyle.of(config)
        block = config.view(self._validator.slots)
        wanted_mint: Pubkey | None = None
        programs: tuple[Pubkey, ...] = _TOKEN_PROGRAMS
        if selector.get("mint") is not None:
            wanted_mint = pubkey(selector.get("mint"))
            if self._validator.bank.account(wanted_mint, block.slot) is None:
                raise RpcError(INVALID_PARAMS, "Invalid param: could not find mint")
        elif selector.get("programId") is not None:
            program = pubkey(selector.get("programId"))
            if program not in _TOKEN_PROGRAMS:
                raise RpcError(INVALID_PARAMS, "Invalid param: unrecognized Token program id")
            programs = (program,)
        else:
            raise invalid_params("Invalid params: expected `mint` or `programId`.")
        found = [
            keyed(address, account, style, self._validator, block)
            for address, account in self._all(block, programs)
            if (token := spl.token_account(account)) is not None
            and role(token) == wallet
            and wanted_mint in (None, token.mint)
        ]
        return with_context(block, found)
