"""A pytest plugin that writes down what the programs' tests send: `pytest -p tests.realchain.recorder --record FILE`.

It stands between the tests' `World` and its virtual machine; the tests know nothing of it.
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from tests.realchain.recording import Everywhere, Held, Program, Recording, Result, State, Step, with_blockhash

_UPGRADEABLE = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
_CODE_AT = 45
"""Bytes before the code in a program's data account (upgradeable loader)."""
AT_IMPORT = "(while tests were collected)"

_recording = Recording()
_running = [AT_IMPORT]
_held: dict[tuple[int, bytes, bytes], Held] = {}
_bytes: dict[bytes, bytes] = {}
_plain = LiteSVM()
_EVERYWHERE = Everywhere()


def result_of(outcome: TransactionMetadata | FailedTransactionMetadata) -> Result:
    """A virtual machine's answer, with its error in the form of RPC nodes."""
    if isinstance(outcome, TransactionMetadata):
        return Result(None, tuple(outcome.logs()), outcome.compute_units_consumed())
    meta, error = outcome.meta(), outcome.err()
    named = json.loads(error.to_json())
    kind = type(error).__name__.removeprefix("TransactionError")
    if kind == "InstructionError":
        index, reason = named
        named = [index, {"Custom": reason} if isinstance(reason, int) else reason]
    if not isinstance(named, str):
        named = {kind: named}
    return Result(named, tuple(meta.logs()), meta.compute_units_consumed())


class RecordingMachine:
    """A LiteSVM that writes down what is sent to it, and is otherwise the one it stands before."""

    def __init__(self, machine: LiteSVM, world: Any) -> None:
        self._machine = machine
        self._world = world
        self._steps: list[Step] = []
        _recording.worlds.append(self._steps)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._machine, name)

    def send_transaction(self, transaction: Transaction) -> TransactionMetadata | FailedTransactionMetadata:
        message = transaction.message
        seeds = tuple(
            _known(bytes(self._world.keys[key].secret()))
            for key in message.account_keys[: message.header.num_required_signatures]
        )
        clock = self._machine.get_clock().unix_timestamp
        before = self._states(message)
        outcome = self._machine.send_transaction(transaction)
        after = self._states(message)
        bare = bytes(with_blockhash(message, Hash.default()))
        self._steps.append(Step(_running[-1], clock, bare, seeds, before, after, result_of(outcome)))
        return outcome

    def _states(self, message: Message) -> dict[bytes, State]:
        return {_known(bytes(key)): self._state(key) for key in message.account_keys}

    def _state(self, key: Pubkey) -> State:
        account = self._machine.get_account(key)
        if account is None or not account.lamports:
            return None
        if account == _plain.get_account(key):
            return _EVERYWHERE
        if account.executable:
            assert account.owner == _UPGRADEABLE
            code = self._machine.get_account(Pubkey.from_bytes(account.data[4:36]))
            assert code is not None
            return Program(_known(bytes(code.data)[_CODE_AT:]))
        content = (account.lamports, _known(bytes(account.owner)), _known(bytes(account.data)))
        return _held.setdefault(content, Held(*content))


def _known(value: bytes) -> bytes:
    """Equal bytes as one object: the recording would be large otherwise."""
    return _bytes.setdefault(value, value)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", type=Path, required=True, help="file that the recording is written to")


def pytest_configure() -> None:
    from tests.localnet.programs.harness import World

    prepare = World.__post_init__

    def recorded(self: World) -> None:
        prepare(self)
        self.svm = RecordingMachine(self.svm, self)  # type: ignore[assignment]

    World.__post_init__ = recorded  # type: ignore[method-assign]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Any:
    _running.append(item.nodeid)
    _recording.ran.add(item.nodeid)
    if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
        _recording.properties.add(item.nodeid)
    try:
        return (yield)
    finally:
        _running.pop()


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path = session.config.getoption("--record")
    path.write_bytes(pickle.dumps(_recording))
