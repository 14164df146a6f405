"""Subscriptions: the methods that make and end them, and the notifications when something happens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from solders.account import Account
from solders.pubkey import Pubkey

from node.localnet.ledger import Record
from node.localnet.rpc.accounts_json import AccountStyle
from node.localnet.rpc.context import VERSION, Methods, reader
from node.localnet.rpc.errors import METHOD_NOT_FOUND, RpcError, invalid_params
from node.localnet.rpc.filters import parse_filters
from node.localnet.rpc.params import Params, pubkey, signature
from node.localnet.rpc.parsed_tokens import AccountReader
from node.localnet.rpc.slots_updates import slots_updates
from node.localnet.rpc.topics import Subscriber, Subscription, Topic, Topics
from node.localnet.slots import Block, Commitment
from node.localnet.validator import Validator

_T = TypeVar("_T")
_UNKNOWN_SUBSCRIPTION = -32602


class Subscriptions:
    """All subscriptions of all sockets; a listener of the validator."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator
        self._topics = Topics()
        self._fresh: list[Subscription] = []
        """Signature subscriptions whose answer has not gone out yet."""
        self._reverted: dict[int, dict[Commitment, list[Pubkey]]] = {}
        """By a fork's first block: accounts that it set back, and the views that must still be told."""

    def __len__(self) -> int:
        return len(self._topics)

    def methods(self, subscriber: Subscriber) -> Methods:
        """The methods a socket answers, bound to it."""
        makers: dict[str, Callable[[Params], Topic]] = {
            "account": _account,
            "program": _program,
            "signature": _signature,
            "logs": _logs,
            "slot": lambda _: Topic("slot"),
            "root": lambda _: Topic("root"),
            "slotsUpdates": lambda _: Topic("slotsUpdates"),
        }
        table: Methods = {"getVersion": lambda _: VERSION}
        for kind, make in makers.items():
            table[f"{kind}Subscribe"] = partial(self._add, make, subscriber)
            table[f"{kind}Unsubscribe"] = partial(self._remove, subscriber)
        for name in ("blockSubscribe", "blockUnsubscribe", "voteSubscribe", "voteUnsubscribe"):
            table[name] = _refused
        return table

    def settle(self, subscriber: Subscriber) -> None:
        """After the answer to a subscribe went out: tell what has happened already."""
        fresh, self._fresh = self._fresh, []
        for found in fresh:
            record = self._validator.ledger.find(str(found.topic.key))
            if found.subscriber is not subscriber or record is None:
                continue
            if self._validator.commitment_of(record) >= found.topic.commitment:
                self._topics.tell_last(found.topic, _outcome(record))

    def forget(self, subscriber: Subscriber) -> None:
        """The socket is gone."""
        self._topics.forget(subscriber)

    # --- adding and removing

    def _add(self, make: Callable[[Params], Topic], subscriber: Subscriber, params: Params) -> int:
        made = self._topics.add(make(params), subscriber)
        if made.topic.kind == "signature":
            self._fresh.append(made)
        return made.number

    def _remove(self, subscriber: Subscriber, params: Params) -> bool:
        # A node does not look whether the subscription is of the kind that the method is named for.
        found = self._topics.find(params.integer(0))
        if found is None or found.subscriber is not subscriber:
            raise RpcError(_UNKNOWN_SUBSCRIPTION, "Invalid subscription id.")
        self._topics.remove(found)
        return True

    # --- what happens on the chain

    def on_transaction(self, record: Record, changed: Sequence[Pubkey]) -> None:
        """A transaction was put into the newest block."""
        block = self._validator.slots.head
        for topic in self._topics.about("signature", Commitment.PROCESSED, record.signature):
            self._topics.tell_last(topic, _outcome(record))
        self._tell_logs((record,), Commitment.PROCESSED, block)
        self._tell_accounts(changed, Commitment.PROCESSED, block)

    def on_block(self, block: Block, advanced: dict[Commitment, list[Block]]) -> None:
        """A block was begun, and others advanced to a commitment."""
        root = self._validator.slots.at(Commitment.FINALIZED).slot
        self._topics.tell(Topic("slot"), {"slot": block.slot, "parent": block.parent, "root": root})
        if self._topics.heard("slotsUpdates", Commitment.FINALIZED):
            for update in slots_updates(self._validator, block, advanced):
                self._topics.tell(Topic("slotsUpdates"), update)
        for commitment, blocks in advanced.items():
            for one in blocks:
                self._tell_signatures(commitment, one)
                self._tell_logs(self._validator.ledger.in_slot(one.slot), commitment, one)
                self._tell_accounts(self._validator.bank.changed_in(one.slot), commitment, one)
                reverted = self._reverted.get(one.slot)
                if reverted is not None:
                    self._tell_reverted(reverted.pop(commitment, ()), commitment, one)
                    if not reverted:
                        del self._reverted[one.slot]
        for rooted in advanced.get(Commitment.FINALIZED, ()):
            self._topics.tell(Topic("root"), rooted.slot)

    def on_placed(self, keys: Sequence[Pubkey]) -> None:
        """Accounts were put in place past all rules, in the newest block."""
        self._tell_accounts(keys, Commitment.PROCESSED, self._validator.slots.head)

    def on_fork(self, block: Block, changed: Mapping[Commitment, Sequence[Pubkey]]) -> None:
        """A fork has won: those who watch an account hear what it is again, in each view that had it otherwise.

        Nobody else hears of a fork, as on a real node: not who watches a program, logs, or a signature that was told.
        """
        waiting = {commitment: list(keys) for commitment, keys in changed.items()}
        for slot in [slot for slot in self._reverted if slot > block.parent]:
            # That block is lost in its turn, before all could be told.
            for commitment, keys in self._reverted.pop(slot).items():
                waiting[commitment] += keys
        self._tell_reverted(waiting.pop(Commitment.PROCESSED), Commitment.PROCESSED, block)
        waiting = {commitment: keys for commitment, keys in waiting.items() if keys}
        if waiting:
            self._reverted[block.slot] = waiting

    def _tell_signatures(self, commitment: Commitment, block: Block) -> None:
        for text in self._topics.keys("signature", commitment):
            record = self._validator.ledger.find(str(text))
            if record is not None and record.slot == block.slot:
                for topic in self._topics.about("signature", commitment, text):
                    self._topics.tell_last(topic, _outcome(record))

    def _tell_logs(self, records: Iterable[Record], commitment: Commitment, block: Block) -> None:
        if not self._topics.heard("logs", commitment):
            return
        for record in records:
            value = {"signature": record.signature, "err": record.error, "logs": record.logs}
            for key in (*dict.fromkeys(record.accounts), None):
                for topic in self._topics.about("logs", commitment, key):
                    self._topics.tell(topic, _in_slot(block, value))

    def _tell_reverted(self, keys: Iterable[Pubkey], commitment: Commitment, block: Block) -> None:
        read = reader(self._validator, block)
        for key in dict.fromkeys(keys):
            self._tell_account(key, read, commitment, block)

    def _tell_accounts(self, keys: Iterable[Pubkey], commitment: Commitment, block: Block) -> None:
        by_program = self._topics.heard("program", commitment)
        if not by_program and not self._topics.heard("account", commitment):
            return
        read = reader(self._validator, block)
        for key in keys:
            self._tell_account(key, read, commitment, block)
            account = read(key) if by_program else None
            if account is not None:  # a closed account belongs to no program any more, so none hears of it
                self._tell_program(key, account, read, commitment, block)

    def _tell_account(self, key: Pubkey, read: AccountReader, commitment: Commitment, block: Block) -> None:
        for topic in self._topics.about("account", commitment, key):
            assert topic.style is not None
            account = read(key)
            self._topics.tell(topic, _in_slot(block, topic.style.told(key, account, read) if account else _CLOSED))

    def _tell_program(
        self, key: Pubkey, account: Account, read: AccountReader, commitment: Commitment, block: Block
    ) -> None:
        for topic in self._topics.about("program", commitment, account.owner):
            assert topic.style is not None
            if all(entry.passes(account) for entry in topic.filters):
                value = {"pubkey": str(key), "account": topic.style.told(key, account, read)}
                self._topics.tell(topic, _in_slot(block, value))


def _account(params: Params) -> Topic:
    config = params.config(1)
    return Topic("account", config.commitment(), _named(pubkey, params.text(0), "pubkey"), AccountStyle.whole(config))


def _program(params: Params) -> Topic:
    config = params.config(1)
    try:
        filters = parse_filters(config)
    except RpcError as error:
        raise invalid_params(f"Invalid params: {error.message}") from None
    key = _named(pubkey, params.text(0), "pubkey")
    return Topic("program", config.commitment(), key, AccountStyle.whole(config), filters)


def _signature(params: Params) -> Topic:
    key, config = _named(signature, params.text(0), "signature"), params.config(1)
    received = config.flag("enableReceivedNotification")
    return Topic("signature", config.commitment(), str(key), received=received)


def _logs(params: Params) -> Topic:
    wanted, key = params.get(0), None
    if isinstance(wanted, dict):
        mentions = wanted["mentions"]
        if len(mentions) != 1:
            raise invalid_params("Invalid Request: Only 1 address supported")
        key = _named(pubkey, mentions[0], "mentions")
    return Topic("logs", params.config(1).commitment(), key)


def _named(read: Callable[[object], _T], text: str, what: str) -> _T:
    try:
        return read(text)
    except RpcError:
        raise invalid_params(f"Invalid Request: Invalid {what} provided") from None


def _refused(_params: Params) -> Any:
    """Blocks and votes are told only by nodes that were started for it."""
    raise RpcError(METHOD_NOT_FOUND, "Method not found")


def _in_slot(block: Block, value: Any) -> dict[str, Any]:
    return {"context": {"slot": block.slot}, "value": value}


def _outcome(record: Record) -> dict[str, Any]:
    """What a signature's subscribers are told, once: their subscriptions end by that."""
    return {"context": {"slot": record.slot}, "value": {"err": record.error}}


_CLOSED = {
    "lamports": 0,
    "data": ["", "base64"],
    "owner": "11111111111111111111111111111111",
    "executable": False,
    "rentEpoch": 0,
    "space": 0,
}
"""What a node says of an account that was closed."""
