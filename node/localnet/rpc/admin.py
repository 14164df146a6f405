"""The localnet's own methods, beside a node's: answered to this machine only, but for requestAirdrop.

`localnet_info []`: what the chain is: cluster address set, program hashes, mint, market and named addresses.

`localnet_faucet [address, {"lamports": N, "nos": M}]`: N lamports and M micro-NOS to the address; its NOS token
account is created if missing. Answers `{"signature", "lamports", "nos", "tokenAccount"}`.

`localnet_mint [mint, address, amount]`: so many of the mint's smallest unit to a token account, or to an owner's
associated one, which is created if missing; by the mint's authority if that is one of the chain's keys, else by
setting the accounts. Answers `{"signature" (null where nothing was sent), "mint", "tokenAccount", "amount"}`.

`localnet_setAccount [account, …]`: puts accounts in place past all rules, in the newest block. Each is
`{"pubkey", "account": {"lamports", "data": [TEXT, "base64"], "owner", "executable"}}`; what it leaves out stays as
it is, and 0 lamports remove it. Answers `{"slot", "accounts": [address, …]}`.

`localnet_advance [{"seconds": N}]` or `[{"slots": N}]`: so much time passes at once, for the clock and for slots alike.
Answers `{"slot", "blockHeight", "time"}` of the newest block.

`localnet_pace []`: whether slots keep their time: `{"slot", "slotMs", "missedSlots", "mostLateMs"}`. Missed ones passed
without a block because the process was held up; `mostLateMs` is how late the latest of all slots came.

Snapshots are not here but at `/snapshot` (see `node.localnet.archive`): they are too long for a call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from node.chain.addresses import to_address
from node.localnet.account_files import parse_account, pubkey_of
from node.localnet.chain_time import Leaps
from node.localnet.faucet import Faucet
from node.localnet.minting import Mints
from node.localnet.rpc.context import Methods
from node.localnet.rpc.errors import invalid_params
from node.localnet.rpc.params import Params, blockhash
from node.localnet.validator import Validator

_MOST_ACCOUNTS = 1_000


class AdminMethods:
    """requestAirdrop, and what only a localnet has. `describe` gives the answer of localnet_info."""

    def __init__(
        self,
        validator: Validator,
        faucet: Faucet,
        mints: Mints,
        leaps: Leaps,
        describe: Callable[[], dict[str, Any]],
    ) -> None:
        self._validator = validator
        self._faucet = faucet
        self._mints = mints
        self._leaps = leaps
        self._describe = describe

    def public(self) -> Methods:
        """Methods for everybody."""
        return {"requestAirdrop": self.airdrop}

    def local(self) -> Methods:
        """Methods for this machine only."""
        return {
            "localnet_faucet": self.give,
            "localnet_info": lambda _: self._describe(),
            "localnet_mint": self.mint,
            "localnet_setAccount": self.set_accounts,
            "localnet_advance": self.advance,
        }

    def airdrop(self, params: Params) -> Any:
        """Lamports from the faucet; the signature."""
        key, lamports = params.pubkey(0), params.integer(1)
        config = params.config(2)
        config.commitment()
        if config.get("recentBlockhash") is not None:
            blockhash(config.get("recentBlockhash"))  # only its form matters: the faucet takes the newest
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

    def mint(self, params: Params) -> Any:
        """Tokens of any mint."""
        done, signature = self._mints.mint(params.pubkey(0), params.pubkey(1), params.integer(2))
        return {
            "signature": signature,
            "mint": str(done.mint),
            "tokenAccount": str(done.account),
            "amount": done.amount,
        }

    def set_accounts(self, params: Params) -> Any:
        """Accounts past all rules: all that are named, or none where one of them is malformed."""
        if not 0 < len(params) <= _MOST_ACCOUNTS:
            raise invalid_params(f"Invalid params: expected 1 to {_MOST_ACCOUNTS} accounts.")
        bank, slot = self._validator.bank, self._validator.slots.head.slot
        wanted = []
        for index in range(len(params)):
            document = params.get(index)
            present = bank.account(pubkey_of(document), slot)
            wanted.append(parse_account(document, bank.minimum_rent, present))
        for key, account in wanted:
            self._validator.place(key, account)
        return {"slot": slot, "accounts": [str(key) for key, _ in wanted]}

    def advance(self, params: Params) -> Any:
        """Time that passes at once."""
        config = params.config(0)
        seconds, slots = config.get("seconds"), config.integer("slots")
        if (seconds is None) == (slots is None):
            raise invalid_params("Invalid params: expected either `seconds` or `slots`.")
        if slots is not None:
            self._leaps.slots(slots)
        elif isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise invalid_params("Invalid params: `seconds` is no number.")
        else:
            self._leaps.seconds(seconds)
        head = self._validator.slots.head
        return {"slot": head.slot, "blockHeight": head.height, "time": head.time}
