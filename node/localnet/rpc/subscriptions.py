"""Subscriptions: who wants to hear of what, and the notifications when it happens."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from solders.pubkey import Pubkey

from node.localnet.ledger import Record
from node.localnet.rpc.accounts import keyed
from node.localnet.rpc.accounts_json import AccountStyle
from node.localnet.rpc.context import Methods, reader
from node.localnet.rpc.dispatch import dump
from node.localnet.rpc.errors import RpcError, invalid_params
from node.localnet.rpc.filters import Filter, parse_filters
from node.localnet.rpc.params import Params, pubkey
from node.localnet.slots import Block, Commitment
from node.localnet.validator import Validator

KINDS = ("account", "program", "signature", "slot", "root", "logs")
_UNKNOWN_SUBSCRIPTION = -32602


class Subscriber(Protocol):
    """One socket. `push` must not block; it may close the socket if its reader is too slow."""

    def push(self, text: str) -> None:
        """Send a notification."""
        ...


@dataclass(slots=True)
class Subscription:
    """One wish of one subscriber."""

    number: int
    kind: str
    subscriber: Subscriber
    commitment: Commitment = Commitment.FINALIZED
    key: Pubkey | None = None
    style: AccountStyle | None = None
    filters: tuple[Filter, ...] = ()
    text: str = ""
    """The signature, for `signature`."""

    def notify(self, result: Any) -> None:
        """Send one notification."""
        body = {"result": result, "subscription": self.number}
        self.subscriber.push(dump({"jsonrpc": "2.0", "method": f"{self.kind}Notification", "params": body}))


class Subscriptions:
    """All subscriptions of all sockets; a listener of the validator."""

    def __init__(self, validator: Validator) -> None:
        self._validator = validator
        self._numbers = itertools.count(1)
        self._by_kind: dict[str, dict[int, Subscription]] = {kind: {} for kind in KINDS}
        self._fresh: list[Subscription] = []
        """Signature subscriptions whose answer has not gone out yet."""
        self._reverted: dict[int, dict[Commitment, list[Pubkey]]] = {}
        """By a fork's first block: accounts that it set back, and the views that must still be told."""

    def __len__(self) -> int:
        return sum(len(group) for group in self._by_kind.values())

    def methods(self, subscriber: Subscriber) -> Methods:
        """The methods a socket answers, bound to it."""
        makers: dict[str, Callable[[Params], Subscription]] = {
            "account": lambda params: self._account(params, subscriber),
            "program": lambda params: self._program(params, subscriber),
            "signature": lambda params: self._signature(params, subscriber),
            "logs": lambda params: self._logs(params, subscriber),
            "slot": lambda _: Subscription(next(self._numbers), "slot", subscriber),
            "root": lambda _: Subscription(next(self._numbers), "root", subscriber),
        }
        table: Methods = {}
        for kind, make in makers.items():
            table[f"{kind}Subscribe"] = partial(self._add, make)
            table[f"{kind}Unsubscribe"] = partial(self._remove, kind, subscriber)
        return table

    def settle(self, subscriber: Subscriber) -> None:
        """After the answer to a subscribe went out: tell what has happened already."""
        fresh, self._fresh = self._fresh, []
        for found in fresh:
            record = self._validator.ledger.find(found.text)
            if found.subscriber is not subscriber or record is None:
                continue
            if self._validator.commitment_of(record) >= found.commitment:
                self._signature_done(found, record)

    def forget(self, subscriber: Subscriber) -> None:
        """The socket is gone."""
        for group in self._by_kind.values():
            for number in [key for key, found in group.items() if found.subscriber is subscriber]:
                del group[number]

    # --- adding and removing

    def _add(self, make: Callable[[Params], Subscription], params: Params) -> int:
        subscription = make(params)
        self._by_kind[subscription.kind][subscription.number] = subscription
        if subscription.kind == "signature":
            self._fresh.append(subscription)
        return subscription.number

    def _remove(self, kind: str, subscriber: Subscriber, params: Params) -> bool:
        found = self._by_kind[kind].get(params.integer(0))
        if found is None or found.subscriber is not subscriber:
            raise RpcError(_UNKNOWN_SUBSCRIPTION, "Invalid subscription id.")
        del self._by_kind[kind][found.number]
        return True

    def _account(self, params: Params, subscriber: Subscriber) -> Subscription:
        key, config = params.pubkey(0), params.config(1)
        return Subscription(
            next(self._numbers),
            "account",
            subscriber,
            config.commitment(),
            key=key,
            style=AccountStyle.of(config),
        )

    def _program(self, params: Params, subscriber: Subscriber) -> Subscription:
        key, config = params.pubkey(0), params.config(1)
        return Subscription(
            next(self._numbers),
            "program",
            subscriber,
            config.commitment(),
            key=key,
            style=AccountStyle.of(config),
            filters=parse_filters(config),
        )

    def _signature(self, params: Params, subscriber: Subscriber) -> Subscription:
        text, config = str(params.signature(0)), params.config(1)
        return Subscription(next(self._numbers), "signature", subscriber, config.commitment(), text=text)

    def _logs(self, params: Params, subscriber: Subscriber) -> Subscription:
        params.need(1)
        wanted, key = params.get(0), None
        if isinstance(wanted, dict):
            mentions = wanted.get("mentions")
            if not isinstance(mentions, list) or len(mentions) != 1:
                raise invalid_params("Invalid Request: Only 1 address supported")
            key = pubkey(mentions[0])
        elif wanted not in ("all", "allWithVotes"):
            raise invalid_params("Invalid params: expected `all`, `allWithVotes` or `mentions`.")
        return Subscription(next(self._numbers), "logs", subscriber, params.config(1).commitment(), key=key)

    # --- what happens on the chain

    def on_transaction(self, record: Record) -> None:
        """A transaction was put into the newest block."""
        block = self._validator.slots.head
        self._tell_transactions([record], Commitment.PROCESSED, block)
        self._tell_accounts(record.changed, Commitment.PROCESSED, block)

    def on_block(self, block: Block, advanced: dict[Commitment, list[Block]]) -> None:
        """A block was begun, and others advanced to a commitment."""
        root = self._validator.slots.at(Commitment.FINALIZED).slot
        for found in list(self._by_kind["slot"].values()):
            found.notify({"slot": block.slot, "parent": block.parent, "root": root})
        for commitment, blocks in advanced.items():
            for one in blocks:
                self._tell_transactions(self._validator.ledger.in_slot(one.slot), commitment, one)
                self._tell_accounts(self._validator.bank.changed_in(one.slot), commitment, one)
                reverted = self._reverted.get(one.slot)
                if reverted is not None:
                    self._tell_reverted(reverted.pop(commitment, ()), commitment, one)
                    if not reverted:
                        del self._reverted[one.slot]
        for rooted in advanced.get(Commitment.FINALIZED, ()):
            for found in list(self._by_kind["root"].values()):
                found.notify(rooted.slot)

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

    def _of(self, kind: str, commitment: Commitment) -> list[Subscription]:
        return [found for found in self._by_kind[kind].values() if found.commitment is commitment]

    def _tell_transactions(self, records: Iterable[Record], commitment: Commitment, block: Block) -> None:
        listening = self._of("logs", commitment)
        waiting: dict[str, list[Subscription]] = {}
        for found in self._of("signature", commitment):
            waiting.setdefault(found.text, []).append(found)
        if not waiting and not listening:
            return
        for record in records:
            for found in waiting.get(record.signature, ()):
                self._signature_done(found, record)
            for found in listening:
                if found.key is None or found.key in record.accounts:
                    value = {"signature": record.signature, "err": record.error, "logs": list(record.logs)}
                    found.notify({"context": {"slot": block.slot}, "value": value})

    def _signature_done(self, found: Subscription, record: Record) -> None:
        # A signature is told once; the subscription ends by that.
        self._by_kind["signature"].pop(found.number, None)
        found.notify({"context": {"slot": record.slot}, "value": {"err": record.error}})

    def _tell_reverted(self, keys: Iterable[Pubkey], commitment: Commitment, block: Block) -> None:
        read, wanted = reader(self._validator, block), set(keys)
        for found in self._of("account", commitment):
            if found.key in wanted and found.style is not None:
                account = read(found.key)
                value = found.style.apply(account, read) if account is not None else _CLOSED
                found.notify({"context": {"slot": block.slot}, "value": value})

    def _tell_accounts(self, keys: Iterable[Pubkey], commitment: Commitment, block: Block) -> None:
        accounts, programs = self._of("account", commitment), self._of("program", commitment)
        if not accounts and not programs:
            return
        read = reader(self._validator, block)
        for key in keys:
            account = read(key)
            for found in accounts:
                if found.key == key and found.style is not None:
                    value = found.style.apply(account, read) if account is not None else _CLOSED
                    found.notify({"context": {"slot": block.slot}, "value": value})
            if account is None:
                continue  # a closed account belongs to no program any more, so none hears of it
            for found in programs:
                if account.owner == found.key and all(entry.passes(account) for entry in found.filters):
                    assert found.style is not None
                    value = keyed(key, account, found.style, self._validator, block)
                    found.notify({"context": {"slot": block.slot}, "value": value})


_CLOSED = {
    "lamports": 0,
    "data": ["", "base64"],
    "owner": "11111111111111111111111111111111",
    "executable": False,
    "rentEpoch": 2**64 - 1,
    "space": 0,
}
"""What a node says of an account that was closed."""
