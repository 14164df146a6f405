"""The open sockets of one endpoint, and what does not come out of them, or only later."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from node.localnet.faults.board import Applied, Board
from node.localnet.faults.kinds import Mute
from node.localnet.validator import Validator

_NOTIFICATION = "Notification"


class Peer(Protocol):
    """One socket of a client."""

    def send(self, text: str) -> None:
        """Send a message in its turn."""
        ...

    def abort(self) -> None:
        """End the connection without a word."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    """A notification of a block that a lagging endpoint has not come to yet."""

    slot: int
    peer: Peer
    text: str


class Sockets:
    """Sockets by peer. `shown` gives the newest slot the endpoint knows of, None where it does not lag."""

    def __init__(self, number: int, validator: Validator, board: Board, shown: Callable[[], int | None]) -> None:
        self._number = number
        self._validator = validator
        self._board = board
        self._shown = shown
        self._open: dict[Peer, None] = {}
        self._muted: dict[int, frozenset[Peer]] = {}
        """Number of a fault -> the sockets it mutes, where it does not mute all."""
        self._held: deque[_Held] = deque()

    @property
    def undisturbed(self) -> bool:
        """Whether no fault is set and nothing is held back."""
        return self._board.empty and not self._held

    def opened(self, peer: Peer) -> None:
        """A socket is there."""
        self._open[peer] = None

    def closed(self, peer: Peer) -> None:
        """A socket is gone."""
        self._open.pop(peer, None)
        self._held = deque(each for each in self._held if each.peer is not peer)

    def abort(self) -> int:
        """End all connections; how many there were."""
        peers = list(self._open)
        for peer in peers:
            peer.abort()
        return len(peers)

    def begun(self, applied: Applied[Mute]) -> None:
        """A fault begins to mute."""
        if applied.fault.sockets == "open":
            self._muted[applied.number] = frozenset(self._open)

    def lets_out(self, peer: Peer, text: str) -> bool:
        """Whether a message goes out now; otherwise it is lost, or comes when a lagging endpoint has come so far."""
        message = json.loads(text)
        if any(self._mutes(applied, peer, message) and self._board.take(applied) for applied in self._live()):
            return False
        shown = self._shown()
        if shown is None:
            self.release()
            return True
        if not _is_notification(message):
            return True
        self._held.append(_Held(self._validator.slots.head.slot, peer, text))
        self.release()
        return False

    def pongs(self, peer: Peer) -> bool:
        """Whether a ping is answered."""
        return not any(not each.fault.pongs and self._is_muted(each, peer) for each in self._live())

    def release(self) -> None:
        """Send what the endpoint has come to know of."""
        shown = self._shown()
        while self._held and (shown is None or self._held[0].slot <= shown):
            held = self._held.popleft()
            held.peer.send(held.text)

    def forked(self, slot: int) -> None:
        """Blocks after the slot are lost before the lagging endpoint got to them: it never tells of them."""
        self._held = deque(each for each in self._held if each.slot <= slot)

    def _live(self) -> list[Applied[Mute]]:
        return list(self._board.live(Mute, self._number))

    def _mutes(self, applied: Applied[Mute], peer: Peer, message: Any) -> bool:
        wanted = applied.fault.subscriptions
        if not self._is_muted(applied, peer):
            return False
        if not wanted:
            return True
        if not _is_notification(message):
            return False
        kind = message["method"].removesuffix(_NOTIFICATION)
        return kind in wanted or message["params"]["subscription"] in wanted

    def _is_muted(self, applied: Applied[Mute], peer: Peer) -> bool:
        return applied.fault.sockets == "all" or peer in self._muted.get(applied.number, ())


def _is_notification(message: Any) -> bool:
    return isinstance(message, dict) and "method" in message
