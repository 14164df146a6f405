"""The bank: the SVM that executes transactions, and the accounts as each commitment sees them.

Programs run in the real Solana virtual machine (LiteSVM). Its blockhash check is off because it knows only its
newest one; `validator.py` keeps the cluster's window instead. Its transaction history is off for the same
reason, and its signature check because who takes a transaction in has made it already, which costs more than the
rest of a plain transfer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from solders.account import Account
from solders.clock import Clock
from solders.epoch_schedule import EpochSchedule
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from node.errors import LocalnetError
from node.localnet import spl
from node.localnet.artefacts import spl_programs
from node.localnet.execution import Execution, Keys, TokenBalance, charged, execution, lamports
from node.localnet.loaders import (
    LOADER_2,
    LOADERS,
    UPGRADEABLE_LOADER,
    DeployedProgram,
    code_account,
    code_address,
    deployed,
    is_program,
)
from node.localnet.nonces import advanced, advanced_account, stands_in
from node.localnet.slots import SLOTS_PER_EPOCH
from node.localnet.soundness import LOOKUP_TABLE_HEADER, LOOKUP_TABLE_PROGRAM, unsound
from node.localnet.versions import UndoLog

_SYSTEM = Pubkey.default()
_STAKE_CONFIG = Pubkey.from_string("StakeConfig11111111111111111111111111111111")
_CONFIG_PROGRAM = Pubkey.from_string("Config1111111111111111111111111111111111111")
_STAKE_CONFIG_DATA = b"\x00" + struct.pack("<dB", 0.25, 12)
"""Warm-up a quarter of the stake per epoch, and the share that would be slashed, as on every cluster."""
_NATIVE_OWNERS = (
    Pubkey.from_string("NativeLoader1111111111111111111111111111111"),
    Pubkey.from_string("Sysvar1111111111111111111111111111111111111"),
)
"""Owners of built-in programs and of sysvars."""


class Bank:
    """All accounts of the chain."""

    def __init__(self) -> None:
        self._svm = LiteSVM().with_blockhash_check(False).with_sigverify(False).with_transaction_history(0)
        for address, code in spl_programs().items():
            self._svm.add_program_with_loader(address, code, LOADER_2)
        self._undo = UndoLog()
        self._program_bytes: dict[Pubkey, int] = {}
        """What a program counts as loaded data, its code included."""
        self._owners: set[Pubkey] = {_SYSTEM}
        self._hidden = {self._svm.airdrop_pubkey()}
        self._builtin = {key for loader in LOADERS for key, _ in self._svm.get_program_accounts(loader)}
        self._svm.set_account(spl.NATIVE_MINT, spl.native_mint())
        self._svm.set_account(_STAKE_CONFIG, Account(960_480, _STAKE_CONFIG_DATA, _CONFIG_PROGRAM, False))
        self._svm.set_epoch_schedule(EpochSchedule.without_warmup())

    # --- what the cluster sets

    def begin_slot(self, slot: int, unix_time: int, hashes: Sequence[tuple[int, Hash]]) -> None:
        """Set the Clock and SlotHashes sysvars for a new block; `hashes` newest first."""
        epoch = slot // SLOTS_PER_EPOCH
        self._svm.set_clock(Clock(slot, 0, epoch, epoch + 1, unix_time))
        if hashes:
            self._svm.set_slot_hashes(list(hashes))
        self._svm.expire_blockhash()  # a durable nonce advances once per blockhash of the SVM's own

    def add_program(self, address: Pubkey, code: bytes) -> None:
        """Deploy a compiled program, as if it had been there from genesis.

        Raises LocalnetError where the code is no program.
        """
        with _refusals(f"the code for {address} is no program"):
            self._svm.add_program(address, code)
        self._program_bytes.pop(address, None)
        place = code_address(address)
        held = self._svm.get_account(place)
        assert held is not None
        self._svm.set_account(place, code_account(code, held.lamports))
        self._owners.add(UPGRADEABLE_LOADER)

    def programs(self) -> list[DeployedProgram]:
        """Programs of the upgradeable loader, but for those that every cluster has."""
        found = []
        for key, account in self._svm.get_program_accounts(UPGRADEABLE_LOADER):
            code = self._svm.get_account(code_address(key)) if is_program(account) else None
            program = deployed(key, code) if code is not None and key not in self._builtin else None
            if program is not None:
                found.append(program)
        return sorted(found, key=lambda program: str(program.address))

    def set_account(self, key: Pubkey, account: Account, slot: int) -> None:
        """Put an account in place, past all rules; lamports 0 removes it.

        Raises LocalnetError for an executable account that is no program, and for a sysvar's bytes that are none.
        """
        before = self._svm.get_account(key)
        with _refusals(f"the account {key} cannot be put in place"):
            self._svm.set_account(key, account)
        self._undo.note(key, slot, before)
        self._owners.add(account.owner)

    @property
    def oldest_view(self) -> int:
        """The oldest slot whose accounts can still be told."""
        return self._undo.floor

    def revert(self, slot: int) -> list[Pubkey]:
        """Take back everything that later slots did: the accounts that are as they were at the end of this one."""
        reverted = self._undo.drop_after(slot)
        for key, account in reverted.items():
            self._svm.set_account(key, account or _NOTHING)
        return list(reverted)

    def settle(self, finalized: int) -> None:
        """The finalized slot moved: older versions that no view can ask for any more are dropped."""
        self._undo.prune(finalized)

    def finalize(self) -> None:
        """Take every account as final as it is now: genesis and a loaded state."""
        self._undo.clear()

    def minimum_rent(self, size: int) -> int:
        """Lamports that make an account of that many bytes rent-exempt."""
        return self._svm.minimum_balance_for_rent_exemption(size)

    # --- reading

    def account(self, key: Pubkey, slot: int) -> Account | None:
        """The account as it was at the end of the slot (or is now, in the newest one)."""
        return self._undo.at(key, slot, self._svm.get_account(key))

    def program_accounts(self, owner: Pubkey, slot: int) -> list[tuple[Pubkey, Account]]:
        """All accounts of an owner at the end of the slot."""
        found = {key: account for key, account in self._svm.get_program_accounts(owner) if account.lamports}
        for key in self._undo.changed_after(slot):
            old = self._undo.at(key, slot, None)
            if old is not None and old.owner == owner and old.lamports:
                found[key] = old
            else:
                found.pop(key, None)
        for key in self._hidden:
            found.pop(key, None)
        return list(found.items())

    def holders(self, slot: int) -> Iterator[tuple[Pubkey, Account]]:
        """Every account that holds lamports at the end of the slot: of all owners known, so of all there are."""
        for owner in self._owners.union(LOADERS, _NATIVE_OWNERS):
            yield from self.program_accounts(owner, slot)

    def changed_in(self, slot: int) -> list[Pubkey]:
        """Accounts that changed in the slot."""
        return self._undo.changed_in(slot)

    def dump(self) -> list[tuple[Pubkey, Account]]:
        """Every account as it is now, but for sysvars and for what a bank is made with: for saving.

        Programs come last, so that their code is there when they are put in place again.
        """
        found = [
            (key, account)
            for owner in self._owners
            for key, account in self._svm.get_program_accounts(owner)
            if account.lamports and key not in self._hidden and key not in self._builtin
        ]
        return sorted(found, key=lambda entry: entry[1].executable)

    def unsound(self, transaction: VersionedTransaction, slot: int) -> Any:
        """What is wrong with the transaction whatever it does, as a transaction error in JSON form; None if nothing."""
        return unsound(transaction, slot, lambda key: self.account(key, slot), self._recent)

    def _recent(self, slot: int) -> bool:
        return any(known == slot for known, _ in self._svm.get_slot_hashes())

    def keys_of(self, transaction: VersionedTransaction) -> Keys:
        """All accounts the transaction names, lookup tables resolved as they are now."""
        message = transaction.message
        static = tuple(message.account_keys)
        header = message.header
        signers = header.num_required_signatures
        writable = set(static[: signers - header.num_readonly_signed_accounts])
        writable.update(static[signers : len(static) - header.num_readonly_unsigned_accounts])
        more: list[Pubkey] = []
        readonly: list[Pubkey] = []
        if isinstance(message, MessageV0):
            for lookup in message.address_table_lookups:
                table = self._table(lookup.account_key)
                more += [table[index] for index in lookup.writable_indexes if index < len(table)]
                readonly += [table[index] for index in lookup.readonly_indexes if index < len(table)]
        return Keys(static, tuple(more), tuple(readonly), frozenset(writable | set(more)))

    def _table(self, key: Pubkey) -> list[Pubkey]:
        account = self._svm.get_account(key)
        if account is None or account.owner != LOOKUP_TABLE_PROGRAM:
            return []
        body = account.data[LOOKUP_TABLE_HEADER:]
        return [Pubkey.from_bytes(body[at : at + 32]) for at in range(0, len(body) - 31, 32)]

    # --- executing

    def execute(self, transaction: VersionedTransaction, slot: int) -> Execution:
        """Run the transaction, whose signatures are good, for good and in this slot."""
        keys = self.keys_of(transaction)
        before = [self._svm.get_account(key) for key in keys.all]
        outcome = self._svm.send_transaction(transaction)
        if isinstance(outcome, FailedTransactionMetadata) and outcome.meta().signature() != Signature.default():
            self._advance_nonce(transaction)
        after = [self._svm.get_account(key) for key in keys.all]
        changed: list[Pubkey] = []
        for key, old, new in zip(keys.all, before, after, strict=True):
            if key in keys.writable and old != new:
                self._undo.note(key, slot, old)
                changed.append(key)
                if new is not None:
                    self._owners.add(new.owner)
        result = self._corrected(execution(outcome, keys), transaction)
        if not result.landed:
            return result
        return Execution(
            landed=True,
            error=result.error,
            logs=result.logs,
            units=result.units,
            fee=result.fee,
            inner=result.inner,
            return_data=result.return_data,
            keys=keys,
            pre_balances=tuple(account.lamports if account else 0 for account in before),
            post_balances=tuple(account.lamports if account else 0 for account in after),
            pre_tokens=self._token_balances(before),
            post_tokens=self._token_balances(after),
            changed=tuple(changed),
            loaded_bytes=self._loaded_bytes(transaction, keys, before),
        )

    def _advance_nonce(self, transaction: VersionedTransaction) -> None:
        """A transaction that failed has used its durable nonce up all the same."""
        message = transaction.message
        key = advanced_account(message)
        if key is not None and stands_in(message, self._svm.get_account):
            account = self._svm.get_account(key)
            assert account is not None
            self._svm.set_account(key, advanced(account, self._svm.latest_blockhash()))

    def passes(self, transaction: VersionedTransaction, slot: int) -> bool:
        """Whether `simulate` would end without an error."""
        with self._as_of(self.keys_of(transaction).all, slot):
            return not isinstance(self._svm.simulate_transaction(transaction), FailedTransactionMetadata)

    def simulate(self, transaction: VersionedTransaction, slot: int) -> Execution:
        """Run the transaction against the accounts of a slot's view and keep nothing."""
        keys = self.keys_of(transaction)
        with self._as_of(keys.all, slot):
            outcome = self._svm.simulate_transaction(transaction)
            before = [self._svm.get_account(key) for key in keys.all]
            if isinstance(outcome, FailedTransactionMetadata):
                return self._simulated(self._corrected(execution(outcome, keys), transaction), transaction, before, {})
            after = dict(outcome.post_accounts())
            return self._simulated(execution(outcome.meta(), keys, after), transaction, before, after)

    def balances(self, transaction: VersionedTransaction, slot: int) -> Execution:
        """The accounts of a transaction as a slot's view has them, for one that is not run."""
        keys = self.keys_of(transaction)
        before = [self.account(key, slot) for key in keys.all]
        held, tokens = lamports(before), self._token_balances(before)
        return Execution(False, None, [], 0, 0, [], None, keys, held, held, tokens, tokens)

    def _simulated(
        self,
        tried: Execution,
        transaction: VersionedTransaction,
        before: Sequence[Account | None],
        changed: Mapping[Pubkey, Account],
    ) -> Execution:
        after = [changed.get(key, old) for key, old in zip(tried.keys.all, before, strict=True)]
        post = list(lamports(after))
        tried = replace(tried, fee=tried.fee if charged(tried.error) else 0)
        if tried.error is not None and tried.fee:
            post[0] -= tried.fee  # what fails has to pay all the same
        return replace(
            tried,
            pre_balances=lamports(before),
            post_balances=tuple(post),
            pre_tokens=self._token_balances(before),
            post_tokens=self._token_balances(after),
            loaded_bytes=self._loaded_bytes(transaction, tried.keys, before) if tried.units else 0,
        )

    def _loaded_bytes(self, transaction: VersionedTransaction, keys: Keys, accounts: Sequence[Account | None]) -> int:
        found = zip(keys.all, accounts, strict=True)
        total = sum(self._counted(key, account) for key, account in found if account is not None)
        message = transaction.message
        tables = message.address_table_lookups if isinstance(message, MessageV0) else []
        return total + _TABLE_BYTES * len(tables)

    def _counted(self, key: Pubkey, account: Account) -> int:
        if not account.executable:
            return _ACCOUNT_BYTES + len(account.data)
        known = self._program_bytes.get(key)
        if known is None:
            known = _ACCOUNT_BYTES + len(account.data)
            code = self._svm.get_account(code_address(key)) if is_program(account) else None
            known += _ACCOUNT_BYTES + len(code.data) if code is not None else 0
            self._program_bytes[key] = known
        return known

    def _corrected(self, result: Execution, transaction: VersionedTransaction) -> Execution:
        """The SVM has one error for accounts that are no programs and for programs that are not there; nodes two."""
        if result.error != "InvalidProgramForExecution":
            return result
        message = transaction.message
        for instruction in message.instructions:
            program = self._svm.get_account(message.account_keys[instruction.program_id_index])
            if program is None or not program.lamports:
                return replace(result, error="ProgramAccountNotFound")
            if not program.executable:
                break
        return result

    @contextmanager
    def _as_of(self, keys: Sequence[Pubkey], slot: int) -> Iterator[None]:
        """Put the older versions of these accounts in place for a moment."""
        now = {key: self._svm.get_account(key) for key in keys}
        then = {key: self._undo.at(key, slot, account) for key, account in now.items()}
        moved = [key for key in now if now[key] != then[key]]
        try:
            for key in moved:
                self._svm.set_account(key, then[key] or _NOTHING)
            yield
        finally:
            for key in moved:
                self._svm.set_account(key, now[key] or _NOTHING)

    def _token_balances(self, accounts: Sequence[Account | None]) -> tuple[TokenBalance, ...]:
        found: list[TokenBalance] = []
        for index, account in enumerate(accounts):
            token = spl.token_account(account) if account is not None else None
            if account is None or token is None:
                continue
            minted = self._svm.get_account(token.mint)
            info = spl.mint(minted) if minted is not None else None
            if info is not None:
                found.append(
                    TokenBalance(
                        index,
                        str(token.mint),
                        str(token.owner),
                        str(account.owner),
                        token.amount,
                        info.decimals,
                    )
                )
        return tuple(found)


_NOTHING = Account(0, b"", _SYSTEM, False)
_ACCOUNT_BYTES = 64
"""What an account counts beside its data."""
_TABLE_BYTES = 8_248
"""What a lookup table counts, however long it is."""


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    """What the SVM refuses, as an error of ours. Its own error class has no name that could be imported."""
    try:
        yield
    except Exception as error:
        raise LocalnetError(f"{what}: {error}", hint="Check its bytes, its owner and its address.") from None
