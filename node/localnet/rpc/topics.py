"""What is subscribed to, by whom, and how it is found when something happens.

Who subscribes to the same thing in the same way shares a topic: what there is to tell is written once for all of them.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from solders.pubkey import Pubkey

from node.localnet.rpc.accounts_json import AccountStyle
from node.localnet.rpc.dispatch import dump
from node.localnet.rpc.filters import Filter
from node.localnet.slots import Commitment


class Subscriber(Protocol):
    """One socket. `push` must not block; it may close the socket if its reader is too slow."""

    def push(self, text: str) -> None:
        """Send a notification."""
        ...


@dataclass(frozen=True, slots=True)
class Topic:
    """One thing to hear of."""

    kind: str
    commitment: Commitment = Commitment.FINALIZED
    key: Pubkey | str | None = None
    """The account, the program, the account that logs must mention, or the signature."""
    style: AccountStyle | None = None
    filters: tuple[Filter, ...] = ()
    received: bool = False
    """Of a signature: whether its arrival is to be told as well. The leader itself receives from nobody, so that
    nothing is; but who asks so has another subscription than who does not."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One subscriber's wish to hear of a topic."""

    number: int
    topic: Topic
    subscriber: Subscriber


class Topics:
    """All subscriptions."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._by_number: dict[int, Subscription] = {}
        self._by_topic: dict[Topic, dict[int, Subscription]] = {}
        self._by_key: dict[tuple[str, Commitment, Pubkey | str | None], dict[Topic, None]] = {}
        self._counts: Counter[tuple[str, Commitment]] = Counter()

    def __len__(self) -> int:
        return len(self._by_number)

    def add(self, topic: Topic, subscriber: Subscriber) -> Subscription:
        """A subscription to the topic; who asks for the same again is given the number that it has already."""
        for same in self._by_topic.get(topic, {}).values():
            if same.subscriber is subscriber:
                return same
        made = Subscription(next(self._numbers), topic, subscriber)
        self._by_number[made.number] = made
        self._by_topic.setdefault(topic, {})[made.number] = made
        self._by_key.setdefault((topic.kind, topic.commitment, topic.key), {})[topic] = None
        self._counts[topic.kind, topic.commitment] += 1
        return made

    def find(self, number: int) -> Subscription | None:
        """The subscription of that number."""
        return self._by_number.get(number)

    def remove(self, subscription: Subscription) -> None:
        """End a subscription."""
        topic = subscription.topic
        del self._by_number[subscription.number]
        same = self._by_topic[topic]
        del same[subscription.number]
        self._counts[topic.kind, topic.commitment] -= 1
        if not same:
            del self._by_topic[topic]
            place = (topic.kind, topic.commitment, topic.key)
            del self._by_key[place][topic]
            if not self._by_key[place]:
                del self._by_key[place]

    def forget(self, subscriber: Subscriber) -> None:
        """End all subscriptions of a socket."""
        for found in [each for each in self._by_number.values() if each.subscriber is subscriber]:
            self.remove(found)

    def heard(self, kind: str, commitment: Commitment) -> bool:
        """Whether anyone hears of anything of the kind in that view."""
        return self._counts[kind, commitment] > 0

    def about(self, kind: str, commitment: Commitment, key: Pubkey | str | None = None) -> tuple[Topic, ...]:
        """The topics about one key."""
        return tuple(self._by_key.get((kind, commitment, key), ()))

    def keys(self, kind: str, commitment: Commitment) -> Iterator[Pubkey | str | None]:
        """The keys that there are topics about."""
        return iter([key for each, view, key in self._by_key if each == kind and view is commitment])

    def tell(self, topic: Topic, result: Any) -> None:
        """Notify everyone who subscribed to the topic."""
        head = (
            f'{{"jsonrpc":"2.0","method":"{topic.kind}Notification","params":{{"result":{dump(result)},"subscription":'
        )
        for number, found in list(self._by_topic.get(topic, {}).items()):
            found.subscriber.push(f"{head}{number}}}}}")

    def tell_last(self, topic: Topic, result: Any) -> None:
        """Notify everyone who subscribed to the topic, and end their subscriptions."""
        subscriptions = list(self._by_topic.get(topic, {}).values())
        self.tell(topic, result)
        for found in subscriptions:
            self.remove(found)
