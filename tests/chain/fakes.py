"""A clock that nothing waits for, and a small chain whose mishaps a test decides.

The chain speaks JSON-RPC to the real client, checks signatures and blockhash age, and has processed, confirmed and
finalized views; slots pass as the clock's sleeps pass. What it cannot do (programs) a test states as a rule.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from solders.hash import Hash
from solders.keypair import Keypair
from solders.transaction import VersionedTransaction

from node.chain.rpc import Rpc

SLOT_SECONDS = 0.4
CONFIRMED_DEPTH = 2
FINALIZED_DEPTH = 32
BLOCKHASH_AGE = 150
GENESIS = str(Hash(bytes([7]) * 32))


class FakeClock:
    """Sleeping takes no time; the clock and whatever listens move on."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.listeners: list[Callable[[float], None]] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        for listener in self.listeners:
            listener(seconds)
        await asyncio.sleep(0)


@dataclass
class Entry:
    """A transaction that landed."""

    wire: bytes
    slot: int
    error: Any
    logs: list[str]
    effects: list[bytes]


Rule = Callable[[VersionedTransaction], tuple[Any, list[str]] | None]


@dataclass
class FakeChain:
    """See the module's words. `effects` of a transaction are the data of its instructions."""

    clock: FakeClock
    slot: int = 1_000
    landed: dict[str, Entry] = field(default_factory=dict)
    waiting: dict[str, bytes] = field(default_factory=dict)
    hashes: dict[str, int] = field(default_factory=dict)
    sends: list[bytes] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    rule: Rule = lambda _transaction: None
    loses: Callable[[int], bool] = lambda _number: False
    """Whether the send with this number (from 1) never reaches a leader."""
    down: bool = False
    refuses: dict[str, int] = field(default_factory=dict)
    """Method -> how many more calls are answered with an error that no retry is declared for."""
    views: Callable[[str], int] = lambda _method: 0
    """Slots by which the endpoint that answers a method lags behind."""
    prices: list[int] = field(default_factory=list)
    rest: float = 0.0
    lag: int = 0
    """Of the call at hand."""
    accounts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.clock.listeners.append(self.pass_time)

    def rpc(self) -> Rpc:
        """The real client, wired to this chain."""
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        return Rpc(["http://chain.test"], clock=self.clock, client=client)

    # --- time ---------------------------------------------------------------------------------------------

    def pass_time(self, seconds: float) -> None:
        self.rest += seconds
        while self.rest >= SLOT_SECONDS:
            self.rest -= SLOT_SECONDS
            self.advance()

    def advance(self, slots: int = 1) -> None:
        for _ in range(slots):
            self.slot += 1
            for signature, wire in list(self.waiting.items()):
                del self.waiting[signature]
                self._land(signature, wire)

    def _land(self, signature: str, wire: bytes) -> None:
        transaction = VersionedTransaction.from_bytes(wire)
        born = self.hashes.get(str(transaction.message.recent_blockhash))
        if signature in self.landed or born is None or self.slot - born > BLOCKHASH_AGE:
            return
        refused = self.rule(transaction)
        error, logs = refused or (None, [])
        effects = [] if refused else [bytes(each.data) for each in transaction.message.instructions]
        self.landed[signature] = Entry(wire, self.slot, error, logs, effects)

    def fork(self, depth: int = FINALIZED_DEPTH) -> None:
        """Drop what landed within the last slots, as a minority fork's blocks are."""
        self.landed = {key: entry for key, entry in self.landed.items() if entry.slot <= self.slot - depth}

    def shows(self, data: bytes, commitment: str = "processed") -> bool:
        newest = self.view(commitment)
        return any(data in entry.effects for entry in self.landed.values() if entry.slot <= newest)

    def count(self, data: bytes) -> int:
        return sum(data in entry.effects for entry in self.landed.values())

    def view(self, commitment: str) -> int:
        depth = {"processed": 0, "confirmed": CONFIRMED_DEPTH, "finalized": FINALIZED_DEPTH}[commitment]
        return self.slot - depth - self.lag

    # --- JSON-RPC -----------------------------------------------------------------------------------------

    def handle(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            raise httpx.ConnectError("connection refused", request=request)
        call = json.loads(request.content)
        self.calls.append(call["method"])
        config = next((each for each in reversed(call["params"]) if isinstance(each, dict)), {})
        if self.refuses.get(call["method"], 0) > 0:
            self.refuses[call["method"]] -= 1
            error = {"code": -32000, "message": "plan limit reached"}
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": call["id"], "error": error})
        self.lag = self.views(call["method"])
        floor = config.get("minContextSlot")
        if floor is not None and self.view(config.get("commitment", "finalized")) < floor:
            error = {"code": -32016, "message": "Minimum context slot has not been reached"}
            return httpx.Response(200, json={"jsonrpc": "2.0", "id": call["id"], "error": error})
        result = getattr(self, f"do_{call['method']}")(call["params"], config)
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": call["id"], "result": result})

    def do_getLatestBlockhash(self, _params: Any, config: Any) -> Any:  # noqa: N802
        seen = self.view(config["commitment"])
        blockhash = str(Hash(seen.to_bytes(32, "big")))
        self.hashes[blockhash] = seen
        value = {"blockhash": blockhash, "lastValidBlockHeight": seen + BLOCKHASH_AGE}
        return {"context": {"slot": seen}, "value": value}

    def do_getSlot(self, _params: Any, config: Any) -> int:  # noqa: N802
        return self.view(config["commitment"])

    do_getBlockHeight = do_getSlot  # noqa: N815

    def do_getRecentPrioritizationFees(self, _params: Any, _config: Any) -> Any:  # noqa: N802
        return [{"slot": self.slot, "prioritizationFee": each} for each in self.prices]

    def do_simulateTransaction(self, params: Any, _config: Any) -> Any:  # noqa: N802
        refused = self.rule(VersionedTransaction.from_bytes(base64.b64decode(params[0])))
        error, logs = refused or (None, [])
        value = {"err": error, "logs": logs, "unitsConsumed": 10_000}
        return {"context": {"slot": self.slot}, "value": value}

    def do_sendTransaction(self, params: Any, _config: Any) -> str:  # noqa: N802
        wire = base64.b64decode(params[0])
        transaction = VersionedTransaction.from_bytes(wire)
        assert all(transaction.verify_with_results())
        self.sends.append(wire)
        signature = str(transaction.signatures[0])
        if not self.loses(len(self.sends)):
            self.waiting[signature] = wire
        return signature

    def do_getSignatureStatuses(self, params: Any, _config: Any) -> Any:  # noqa: N802
        return {"context": {"slot": self.slot}, "value": [self._status(each) for each in params[0]]}

    def _status(self, signature: str) -> Any:
        entry = self.landed.get(signature)
        if entry is None:
            return None
        level = next(each for each in ("finalized", "confirmed", "processed") if entry.slot <= self.view(each))
        return {"slot": entry.slot, "confirmations": 1, "err": entry.error, "confirmationStatus": level}

    def do_getTransaction(self, params: Any, config: Any) -> Any:  # noqa: N802
        entry = self.landed.get(params[0])
        if entry is None or entry.slot > self.view(config["commitment"]):
            return None
        meta = {
            "err": entry.error,
            "fee": 5_002,
            "logMessages": entry.logs,
            "preBalances": [100_000],
            "postBalances": [90_000],
        }
        raw = [base64.b64encode(entry.wire).decode(), "base64"]
        return {"slot": entry.slot, "blockTime": 1, "transaction": raw, "meta": meta}

    def do_getBalance(self, _params: Any, config: Any) -> Any:  # noqa: N802
        return {"context": {"slot": self.view(config["commitment"])}, "value": 5}


WALLET = Keypair.from_seed(bytes(range(32)))
