"""Those who listen while a localnet is under load: account, program, signature, slot and log subscribers in turn."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Any

from node.localnet.slots import SkipRule
from tests.bench.load_peers import SocketPeer
from tests.bench.load_transactions import MEMO, Mix

_SYSTEM = "11111111111111111111111111111111"


class Audience:
    """Subscribers, each on a socket of its own."""

    def __init__(self, peers: list[SocketPeer], mix: Mix) -> None:
        self._peers = peers
        self._mix = mix

    @classmethod
    async def open(cls, port: int, size: int, jobs: str, mix: Mix) -> Audience:
        """Connect `size` subscribers; `jobs` is a program that the load does not call."""
        audience = cls([await SocketPeer.open(port) for _ in range(size)], mix)
        wishes = itertools.cycle(_wishes(jobs, mix))
        for peer, wish in zip(audience._peers, wishes, strict=False):
            if wish[0] == "signature":
                audience._next_signature(peer)
            else:
                peer.subscribe(*wish)
        return audience

    async def run(self) -> None:
        """Listen until cancelled."""
        async with asyncio.TaskGroup() as group:
            for peer in self._peers:
                group.create_task(peer.run(self._next_signature))

    def _next_signature(self, peer: SocketPeer) -> None:
        peer.subscribe("signature", str(self._mix.latest), {"commitment": "confirmed"})

    def told(self) -> Counter[str]:
        """Notifications by kind, of all together."""
        total: Counter[str] = Counter()
        for peer in self._peers:
            total.update(peer.heard.messages)
        del total["answer"]
        return total

    def lost(self) -> int:
        """Sockets that the server closed."""
        return sum(peer.heard.closed for peer in self._peers)

    def slots_untold(self) -> int:
        """Slots with a block that a slot subscriber was not told of; the worst of them counts."""
        return max((_missing([slot for slot, _ in peer.heard.slots]) for peer in self._peers), default=0)

    def longest_gap(self, slot_seconds: float) -> float:
        """Seconds by which a slot came later than it should have after the one before it; the worst counts."""
        gaps = [
            (told - before) - (slot - last) * slot_seconds
            for peer in self._peers
            for (last, before), (slot, told) in itertools.pairwise(peer.heard.slots)
        ]
        return max(gaps, default=0.0)

    def close(self) -> None:
        """Hang up."""
        for peer in self._peers:
            peer.close()


def _missing(told: list[int]) -> int:
    rule = SkipRule()
    expected = {slot for slot in range(told[0], told[-1] + 1) if not rule.skips(slot)} if told else set()
    return len(expected - set(told))


def _wishes(jobs: str, mix: Mix) -> Iterable[tuple[Any, ...]]:
    """What is subscribed to, one kind after the other: the busiest keys of the load, in two commitments."""
    wallets = [str(payer.pubkey()) for payer in mix.payers]
    for number, commitment in enumerate(("confirmed", "processed")):
        view = {"commitment": commitment}
        yield "account", wallets[number], {"encoding": "base64", **view}
        yield "program", jobs if number else _SYSTEM, {"encoding": "base64", **view}
        yield ("signature",)
        yield ("slot",)
        yield "logs", {"mentions": [str(MEMO)]} if number else "all", view
