"""Methods that send transactions, try them, and tell what became of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from solders.account import Account
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction

from node.localnet.execution import Execution
from node.localnet.ledger import Record, return_data_json, token_json
from node.localnet.rpc.accounts_json import AccountStyle
from node.localnet.rpc.context import Methods, with_context
from node.localnet.rpc.error_texts import transaction_error_text
from node.localnet.rpc.errors import PREFLIGHT_FAILURE, RpcError, invalid_params
from node.localnet.rpc.params import Config, Params, pubkey, settled, signature
from node.localnet.rpc.transactions_json import TransactionStyle, inner_json
from node.localnet.rpc.wire import decode_message, decode_transaction, invalid_transaction
from node.localnet.slots import Block, Commitment
from node.localnet.validator import Validator

LAMPORTS_PER_SIGNATURE = 5000
_LOOKUPS = {
    "AddressLookupTableNotFound": "Attempted to lookup addresses from a table that does not exist",
    "InvalidAddressLookupTableOwner": "Attempted to lookup addresses from an account owned by the wrong program",
    "InvalidAddressLookupTableData": "Attempted to lookup addresses from an invalid account",
    "InvalidAddressLookupTableIndex": "Address lookup contains an invalid index",
}
"""What a node says of lookup tables where there is a message and no transaction."""
_MOST_STATUSES = 256
_RECENT_BLOCKS = 300
"""How long a status is known without searching the history."""
_MOST_SIGNATURES = 1000


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The accounts a simulation is to tell of."""

    addresses: list[str]
    style: AccountStyle


class TransactionMethods:
    """sendTransaction and its like."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    def table(self) -> Methods:
        """Methods by name."""
        return {
            "sendTransaction": self.send,
            "simulateTransaction": self.simulate,
            "getSignatureStatuses": self.statuses,
            "getTransaction": self.transaction,
            "getSignaturesForAddress": self.signatures_for_address,
            "getFeeForMessage": self.fee_for_message,
        }

    # --- sending

    def send(self, params: Params) -> Any:
        """Try the transaction in the preflight view, then put it into the newest block; its signature."""
        config = params.config(1)
        transaction, wire = decode_transaction(params.text(0), config.text("encoding", "base58"))
        config.integer("maxRetries")
        skip = config.flag("skipPreflight")
        # A node that skips preflight looks no further back than its newest block.
        slots = self._validator.slots
        view = config.reached(slots.head) if skip else config.view(slots, "preflightCommitment")
        self._require_sound(transaction, view)
        genuine = all(transaction.verify_with_results())
        if not skip and not (genuine and self._passes(transaction, view)):
            raise _preflight_failure(self._try(transaction, view, verify=True))
        if genuine:  # otherwise it is sent on unseen, and refused by the leader without a word
            self._validator.send(transaction, wire)
        return str(transaction.signatures[0])

    def simulate(self, params: Params) -> Any:
        """Run a transaction and keep nothing of it."""
        config = params.config(1)
        transaction, _ = decode_transaction(params.text(0), config.text("encoding", "base58"))
        verify, replace = config.flag("sigVerify"), config.flag("replaceRecentBlockhash")
        if verify and replace:
            raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
        view = config.view(self._validator.slots)
        wanted = self._wanted(config, transaction)
        replacement = None
        if replace:
            transaction = _with_blockhash(transaction, view)
            replacement = {
                "blockhash": str(view.blockhash),
                "lastValidBlockHeight": self._validator.last_valid_height(view),
            }
        self._require_sound(transaction, view)
        tried = self._try(transaction, view, verify=verify)
        value = _simulation_json(tried) | _balances_json(tried)
        value["accounts"] = self._accounts(wanted, tried, view)
        value["replacementBlockhash"] = replacement
        value["loadedAddresses"] = {
            "writable": [str(key) for key in tried.keys.loaded_writable],
            "readonly": [str(key) for key in tried.keys.loaded_readonly],
        }
        if config.flag("innerInstructions") and tried.units:
            value["innerInstructions"] = inner_json(tried.inner, tried.keys.all, "jsonParsed")
        return with_context(view, value)

    def _require_sound(self, transaction: VersionedTransaction, view: Block) -> None:
        """-32602 for what a node finds before it looks at accounts: lookup tables and compute budget."""
        error = self._validator.bank.unsound(transaction, view.slot)
        if error is not None:
            raise invalid_transaction(transaction_error_text(error))

    def _passes(self, transaction: VersionedTransaction, view: Block) -> bool:
        """Whether `_try` would end without an error: what most transactions do, found with less work."""
        refused = self._validator.refusal(transaction, view)
        return refused is None and self._validator.bank.passes(transaction, view.slot)

    def _try(self, transaction: VersionedTransaction, view: Block, *, verify: bool) -> Execution:
        bank = self._validator.bank
        if verify and not all(transaction.verify_with_results()):
            return Execution(False, "SignatureFailure", [], 0, 0, [], None, bank.keys_of(transaction))
        refused = self._validator.refusal(transaction, view)
        if refused is not None:
            return dataclasses.replace(bank.balances(transaction, view.slot), error=refused)
        return bank.simulate(transaction, view.slot)

    def _wanted(self, config: Config, transaction: VersionedTransaction) -> _Wanted | None:
        wanted = config.get("accounts")
        if wanted is None:
            return None
        style = AccountStyle.of(Config(wanted), "base64")
        if style.encoding in ("binary", "base58"):
            raise invalid_params("base58 encoding not supported")
        most = len(self._validator.bank.keys_of(transaction).all)
        if len(wanted["addresses"]) > most:
            raise invalid_params(f"Too many accounts provided; max {most}")
        return _Wanted(wanted["addresses"], style)

    def _accounts(self, wanted: _Wanted | None, tried: Execution, view: Block) -> Any:
        if wanted is None:
            return None
        if tried.error is not None:
            return [None] * len(wanted.addresses)
        after = tried.post_accounts or {}

        def read(key: Pubkey) -> Account | None:
            return after[key] if key in after else self._validator.bank.account(key, view.slot)

        accounts = [(key, read(key)) for key in map(pubkey, wanted.addresses)]
        return [wanted.style.apply(key, found, read) if found is not None else None for key, found in accounts]

    # --- asking what happened

    def statuses(self, params: Params) -> Any:
        """What is known of up to 256 signatures."""
        wanted = [str(signature(value)) for value in params.items(0, _MOST_STATUSES)]
        whole_history = params.config(1).flag("searchTransactionHistory")
        head = self._validator.slots.head
        return with_context(head, [self._status(text, head, whole_history) for text in wanted])

    def _status(self, text: str, head: Block, whole_history: bool) -> Any:
        record = self._validator.ledger.find(text)
        if record is None or not (whole_history or head.height - record.height <= _RECENT_BLOCKS):
            return None
        commitment = self._validator.commitment_of(record)
        return {
            "slot": record.slot,
            "confirmations": None if commitment is Commitment.FINALIZED else head.height - record.height,
            "err": record.error,
            "status": {"Ok": None} if record.error is None else {"Err": record.error},
            "confirmationStatus": commitment.name.lower(),
        }

    def transaction(self, params: Params) -> Any:
        """A transaction with all it did, null where it is not known with that commitment."""
        text = str(params.signature(0))
        second = params.get(1)
        config = Config({"encoding": second}) if isinstance(second, str) else params.config(1)
        style = TransactionStyle.of(config)
        record = self._visible(self._validator.ledger.find(text), config.commitment())
        if record is None:
            return None
        return {"slot": record.slot, "blockTime": record.time, **style.apply(record)}

    def _visible(self, record: Record | None, wanted: Commitment) -> Record | None:
        settled(wanted)
        if record is None or self._validator.commitment_of(record) < wanted:
            return None
        return record

    def signatures_for_address(self, params: Params) -> Any:
        """Transactions that name an address, newest first."""
        key, config = params.pubkey(0), params.config(1)
        limit = config.integer("limit")
        limit = _MOST_SIGNATURES if limit is None else limit
        if not 1 <= limit <= _MOST_SIGNATURES:
            raise invalid_params(f"Invalid limit; max {_MOST_SIGNATURES}")
        before, until = (config.get(name) and str(signature(config.get(name))) for name in ("before", "until"))
        wanted = settled(config.commitment())
        config.view(self._validator.slots)
        found: list[dict[str, Any]] = []
        skipping = before is not None
        for record in self._validator.ledger.of_account(key):
            if skipping:
                skipping = record.signature != before
                continue
            if record.signature == until or len(found) == limit:
                break
            commitment = self._validator.commitment_of(record)
            if commitment >= wanted:
                found.append(
                    {
                        "signature": record.signature,
                        "slot": record.slot,
                        "err": record.error,
                        "memo": record.memo,
                        "blockTime": record.time,
                        "confirmationStatus": commitment.name.lower(),
                    }
                )
        return found

    def fee_for_message(self, params: Params) -> Any:
        """Lamports the message would cost, null where its blockhash is unknown or too old."""
        message = decode_message(params.text(0))
        view = params.config(1).view(self._validator.slots)
        unsigned = VersionedTransaction.populate(message, _no_signatures(message))
        error = self._validator.bank.unsound(unsigned, view.slot)
        if isinstance(error, str) and error in _LOOKUPS:
            raise invalid_params(f"invalid transaction message: {_LOOKUPS[error]}")
        if not self._validator.alive(message, view):
            return with_context(view, None)
        tried = self._validator.bank.simulate(unsigned, view.slot)
        base = LAMPORTS_PER_SIGNATURE * message.header.num_required_signatures
        return with_context(view, max(tried.fee, base))


def _no_signatures(message: Message | MessageV0) -> list[Signature]:
    return [Signature.default()] * message.header.num_required_signatures


def _with_blockhash(transaction: VersionedTransaction, view: Block) -> VersionedTransaction:
    old = transaction.message
    header, keys, instructions = old.header, old.account_keys, old.instructions
    message: Message | MessageV0
    if isinstance(old, MessageV0):
        message = MessageV0(header, keys, view.blockhash, instructions, old.address_table_lookups)
    else:
        message = Message.new_with_compiled_instructions(
            header.num_required_signatures,
            header.num_readonly_signed_accounts,
            header.num_readonly_unsigned_accounts,
            keys,
            view.blockhash,
            instructions,
        )
    return VersionedTransaction.populate(message, transaction.signatures)


def _simulation_json(tried: Execution) -> dict[str, Any]:
    return {
        "accounts": None,
        "err": tried.error,
        "fee": tried.fee if tried.fee else None,
        "innerInstructions": None,
        "loadedAccountsDataSize": tried.loaded_bytes,
        "loadedAddresses": None,
        "logs": tried.logs,
        "postBalances": None,
        "postTokenBalances": None,
        "preBalances": None,
        "preTokenBalances": None,
        "replacementBlockhash": None,
        "returnData": return_data_json(tried.return_data) if tried.return_data else None,
        "unitsConsumed": tried.units,
    }


def _balances_json(tried: Execution) -> dict[str, Any]:
    """Balances before and after; nothing where the signatures were not even right."""
    if not tried.pre_balances:
        return {}
    return {
        "preBalances": tried.pre_balances,
        "postBalances": tried.post_balances,
        "preTokenBalances": [token_json(entry) for entry in tried.pre_tokens],
        "postTokenBalances": [token_json(entry) for entry in tried.post_tokens],
    }


def _preflight_failure(tried: Execution) -> RpcError:
    return RpcError(
        PREFLIGHT_FAILURE,
        f"Transaction simulation failed: {transaction_error_text(tried.error)}",
        _simulation_json(tried),
    )
