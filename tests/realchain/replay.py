"""Transactions of a recording on a real node and, at the clock they found there, on the virtual machine: both alike?"""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solders.hash import Hash
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata

from node.localnet.export import account_json
from tests.realchain.chain import FAST_TICKS
from tests.realchain.packing import Chain
from tests.realchain.process import running_validator
from tests.realchain.recorder import result_of
from tests.realchain.recording import Everywhere, Held, Program, Result, State, Step, with_blockhash
from tests.realchain.sending import Sender

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
"""Lets a process see another time of day (Debian package libfaketime)."""
_LEAD, _ACCOUNTS_PER_SECOND = 2, 300
"""Seconds a chain's clock starts before the time of its tests: about what a node needs to start, and for accounts."""
_TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
_CLOCK = "SysvarC1ock11111111111111111111111111111111"
_CONFIRMED = {"commitment": "confirmed"}
_KEYS_PER_CALL = 100


@dataclass(frozen=True, slots=True)
class Landed:
    """What the real node did with a transaction."""

    result: Result
    slot: int
    unix_time: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the real node and the virtual machine disagree."""

    test: str
    what: str
    real: object
    machine: object


@dataclass(slots=True)
class Report:
    """What a replay found."""

    steps: int = 0
    on_time: int = 0
    """Steps in the very second of the test."""
    late: list[str] = field(default_factory=list)
    """Tests of steps that ended otherwise than in the test because the clock had moved on (here and there alike)."""
    units: dict[str, int] = field(default_factory=dict)
    """The most compute units of a single instruction that succeeded, by what its log calls it."""
    differences: list[Difference] = field(default_factory=list)

    def note(self, step: Step, real: Landed, followed: Result, *, clock_moved: bool) -> None:
        """Take a step in: what the node did, and what the virtual machine did at the node's clock.

        `clock_moved` says that nothing but the time made the node do otherwise than the test saw.
        """
        self.steps += 1
        self.on_time += real.unix_time == step.unix_time
        if clock_moved:
            self.late.append(step.test)
        else:
            self._differ(step, "error in the test", real.result.error, step.result.error)
        for what in ("error", "logs", "units"):
            self._differ(step, what, getattr(real.result, what), getattr(followed, what))
        if not step.failed:
            name = " ".join(real.result.logs[:2]).replace(" invoke [1] Program log: Instruction:", "")
            self.units[name] = max(self.units.get(name, 0), real.result.units)

    def _differ(self, step: Step, what: str, real: object, machine: object) -> None:
        if real != machine:
            self.differences.append(Difference(step.test, what, real, machine))

    def add(self, other: Report) -> None:
        """Take another report in."""
        self.steps += other.steps
        self.on_time += other.on_time
        self.late += other.late
        self.differences += other.differences
        for name, units in other.units.items():
            self.units[name] = max(self.units.get(name, 0), units)


async def replay(chain: Chain) -> Report:
    """Send everything, wave after wave, and compare. Raises ValidatorFailed and NotLanded."""
    report = Report()
    machine = _machine(chain)
    async with _running(chain) as sender:
        if isinstance(chain.genesis.get(bytes(_TOKEN)), Everywhere):
            machine.add_program(_TOKEN, await _token_program(sender))
        queues = [segment.waves() for segment in chain.segments]
        blockhash = Hash.default()
        while wave := [step for queue in queues for step in next(queue, ())]:
            while (newest := await sender.blockhash()) == blockhash:
                await asyncio.sleep(0.02)
            blockhash = newest
            # Two segments that do the very same on the same accounts are one transaction.
            signed: dict[str, tuple[list[Step], Transaction]] = {}
            for step in wave:
                transaction = _sign(step, blockhash)
                signed.setdefault(str(transaction.signatures[0]), ([], transaction))[0].append(step)
            await sender.land({signature: bytes(transaction) for signature, (_, transaction) in signed.items()})
            landed = await _landed(sender, list(signed))
            for signature, (steps, transaction) in signed.items():
                real = landed[signature]
                moved = real.result.error != steps[0].result.error and _as_in_the_test(machine, steps[0], transaction)
                _set_clock(machine, real.unix_time)
                followed = result_of(machine.send_transaction(transaction))
                for step in steps:
                    report.note(step, real, followed, clock_moved=moved)
            report.differences += await _states(sender, machine, wave, max(each.slot for each in landed.values()))
    return report


@asynccontextmanager
async def _running(chain: Chain) -> AsyncIterator[Sender]:
    with tempfile.TemporaryDirectory(prefix="gpunode-genesis-") as folder:
        arguments = ["--mint", str(Keypair().pubkey()), "--ticks-per-slot", str(FAST_TICKS)]
        arguments += _genesis(chain, Path(folder))
        lead = _LEAD + len(chain.accounts) / _ACCOUNTS_PER_SECOND
        environment = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME": f"{chain.unix_time - lead - time.time():+.3f}",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
        async with running_validator(arguments, environment=environment) as node, Sender.open(node.rpc_url) as sender:
            while await _clock(sender) < chain.unix_time:
                await asyncio.sleep(0.02)
            yield sender


def _genesis(chain: Chain, folder: Path) -> list[str]:
    accounts = folder / "accounts"
    accounts.mkdir()
    arguments = ["--account-dir", str(accounts)]
    for raw, state in chain.accounts.items():
        key = Pubkey.from_bytes(raw)
        if isinstance(state, Held):
            (accounts / f"{key}.json").write_text(json.dumps(account_json(key, state.account())))
        elif isinstance(state, Program):
            file = folder / f"{key}.so"
            file.write_bytes(state.code)
            arguments += ["--bpf-program", str(key), str(file)]
    return arguments


def _machine(chain: Chain) -> LiteSVM:
    machine = LiteSVM().with_blockhash_check(False).with_transaction_history(0)
    for raw, state in chain.accounts.items():
        key = Pubkey.from_bytes(raw)
        if isinstance(state, Held):
            machine.set_account(key, state.account())
        elif isinstance(state, Program):
            machine.add_program(key, state.code)
    return machine


def _set_clock(machine: LiteSVM, unix_time: int) -> None:
    clock = machine.get_clock()
    clock.unix_timestamp = unix_time
    machine.set_clock(clock)


def _as_in_the_test(machine: LiteSVM, step: Step, transaction: Transaction) -> bool:
    """Whether the transaction would end as it did in the test, were it the test's time."""
    _set_clock(machine, step.unix_time)
    tried = machine.simulate_transaction(transaction)
    return (result_of(tried).error if isinstance(tried, FailedTransactionMetadata) else None) == step.result.error


def _sign(step: Step, blockhash: Hash) -> Transaction:
    message = with_blockhash(Message.from_bytes(step.message), blockhash)
    return Transaction([Keypair.from_seed(seed) for seed in step.seeds], message, blockhash)


async def _token_program(sender: Sender) -> bytes:
    """The token program of the node's release. The virtual machine's own is a newer one, which does the same for
    fewer compute units and says less in the logs."""
    found = await sender.ask("getAccountInfo", str(_TOKEN), {"encoding": "base64", **_CONFIRMED})
    assert found["value"]["owner"] == "BPFLoader2111111111111111111111111111111111"
    return base64.b64decode(found["value"]["data"][0])


async def _clock(sender: Sender) -> int:
    found = await sender.ask("getAccountInfo", _CLOCK, {"encoding": "base64", "commitment": "processed"})
    data = base64.b64decode(found["value"]["data"][0])
    return int.from_bytes(data[32:40], "little", signed=True)


async def _landed(sender: Sender, signatures: Sequence[str]) -> dict[str, Landed]:
    """What became of the transactions; history is written a moment after they are confirmed."""
    found: dict[str, Landed] = {}
    config = {"encoding": "base64", "maxSupportedTransactionVersion": 0, **_CONFIRMED}
    async with asyncio.timeout(30):
        while missing := [signature for signature in signatures if signature not in found]:
            for part in _parts(missing):
                answers = await sender.batch([("getTransaction", [signature, config]) for signature in part])
                for signature, answer in zip(part, answers, strict=True):
                    row = answer.get("result")
                    if row is not None and row["blockTime"] is not None:
                        meta = row["meta"]
                        result = Result(meta["err"], tuple(meta["logMessages"]), meta["computeUnitsConsumed"])
                        found[signature] = Landed(result, row["slot"], row["blockTime"])
            await asyncio.sleep(0.02)
    return found


async def _states(sender: Sender, machine: LiteSVM, wave: Sequence[Step], slot: int) -> list[Difference]:
    """Compares every account that the wave could change."""
    tests = {key: step.test for step in wave for key in _writable(step)}
    keys = [Pubkey.from_bytes(raw) for raw in tests]
    differences = []
    for part in _parts(keys):
        config = {"encoding": "base64", "minContextSlot": slot, **_CONFIRMED}
        rows = (await sender.ask("getMultipleAccounts", [str(key) for key in part], config))["value"]
        for key, row in zip(part, rows, strict=True):
            mine, theirs = _held(machine, key), _held_there(row)
            if mine != theirs:
                differences.append(Difference(tests[bytes(key)], f"account {key}", theirs, mine))
    return differences


def _writable(step: Step) -> list[bytes]:
    """The accounts that may change. A message names signers first, and of each kind the read-only ones last."""
    message = Message.from_bytes(step.message)
    header, keys = message.header, [bytes(key) for key in message.account_keys]
    signers = header.num_required_signatures
    named = keys[: signers - header.num_readonly_signed_accounts]
    named += keys[signers : len(keys) - header.num_readonly_unsigned_accounts]
    return [key for key in named if step.before[key] is None or isinstance(step.before[key], Held)]


def _held(machine: LiteSVM, key: Pubkey) -> State:
    account = machine.get_account(key)
    if account is None or not account.lamports:
        return None
    return Held(account.lamports, bytes(account.owner), bytes(account.data))


def _held_there(row: dict[str, Any] | None) -> State:
    if row is None:
        return None
    return Held(row["lamports"], bytes(Pubkey.from_string(row["owner"])), base64.b64decode(row["data"][0]))


def _parts(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[start : start + _KEYS_PER_CALL] for start in range(0, len(items), _KEYS_PER_CALL)]
