"""What endpoints and back ends answer, and key files."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from node.chain import accounts, replies
from node.chain.accounts import RawAccount
from node.chain.clusters import DEVNET
from node.chain.policy import POSTER_KINDS, SpendingPolicy
from node.chain.review import decode_offer, review
from node.chain.subscription import Changed, Subscribed, Subscriptions
from node.chain.transport import Endpoint
from node.chain.wallet import Wallet
from node.errors import AccountMalformed, GpunodeError
from node.records import Address
from tests.fuzz.target import Target

KEY = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
LOOP = asyncio.new_event_loop()

DECODERS: tuple[Callable[[RawAccount, Any], Any], ...] = (
    accounts.decode_market,
    accounts.decode_job,
    accounts.decode_run,
    accounts.decode_stake,
    accounts.decode_node,
    accounts.decode_settings,
    accounts.decode_reflection,
    accounts.decode_reward,
)
DISCRIMINATORS = (
    accounts.MARKET_DISCRIMINATOR,
    accounts.JOB_DISCRIMINATOR,
    accounts.RUN_DISCRIMINATOR,
    accounts.STAKE_DISCRIMINATOR,
    accounts.NODE_DISCRIMINATOR,
    accounts.SETTINGS_DISCRIMINATOR,
    accounts.REFLECTION_DISCRIMINATOR,
    accounts.REWARD_DISCRIMINATOR,
)

PARSERS: tuple[Callable[[Any], Any], ...] = (
    replies.integer,
    replies.text,
    replies.latest_blockhash,
    replies.keyed_accounts,
    replies.accounts_parser([KEY, KEY]),
    replies.statuses_parser(2),
    replies.simulation,
    replies.landed_transaction,
    replies.signature_info,
    replies.valued(replies.integer),
)


def account(body: bytes) -> None:
    """The first byte chooses decoder and owner; the rest is the account."""
    which = body[0] if body else 0
    owner = (DEVNET.jobs, DEVNET.staking, DEVNET.nodes, DEVNET.rewards)[which >> 3 & 3]
    DECODERS[which % 8](RawAccount(KEY, owner, 1, body[1:], 1), DEVNET)


def rpc(body: bytes) -> None:
    """The first byte chooses what was asked; the rest is the endpoint's answer, with any status."""
    which = body[0] if body else 0
    status = (200, 200, 200, 429, 500)[which // 16 % 5]

    def answer(request: httpx.Request) -> httpx.Response:
        pause = body[1:9].decode("latin-1").strip() or "1"
        return httpx.Response(status, content=body[1:], headers={"Retry-After": pause})

    async def call() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
            await Endpoint("http://endpoint.test", client, 5.0).call("x", [], PARSERS[which % len(PARSERS)])

    LOOP.run_until_complete(call())


class _End(BaseException):
    pass


class _Socket:
    """Gives the messages one after the other, then ends."""

    def __init__(self, messages: list[bytes]) -> None:
        self._messages = messages

    async def recv(self) -> bytes:
        if not self._messages:
            raise _End
        return self._messages.pop(0)


def subscription(body: bytes) -> None:
    """Lines are messages of a socket on which two subscriptions stand."""

    async def receive() -> None:
        async def slot() -> int:
            return 0

        socket: Any = Subscriptions(("ws://endpoint.test",), http_slot=slot)
        async with socket.program(KEY) as changes, socket.account(KEY) as others:
            for number, topic in enumerate(socket._topics):
                socket._asked[number + 1] = topic
                topic.number = number + 7
            with contextlib.suppress(_End):
                await socket._receive(_Socket(body.split(b"\n")))
            assert isinstance(socket.slot, int)
            assert 0 <= socket.slot < 1 << 64
            for stream in (changes, others):
                await _drained(stream)

    LOOP.run_until_complete(receive())


async def _drained(stream: Any) -> None:
    async def all_of_it() -> None:
        async for notice in stream:
            assert isinstance(notice, Changed | Subscribed)

    with contextlib.suppress(TimeoutError, GpunodeError):
        await asyncio.wait_for(all_of_it(), 0)


def key_file(body: bytes) -> None:
    """A key file, plain or encrypted, opened with a passphrase."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "id.json"
        file.write_bytes(body)
        file.chmod(0o600)
        Wallet.load(file, lambda _address: "a passphrase")


def offer(body: bytes) -> None:
    """A transaction offered by a back end: taken apart and shown, never signed unseen."""
    found = decode_offer(body)
    shown = LOOP.run_until_complete(review(found, DEVNET, KEY, SpendingPolicy(DEVNET, POSTER_KINDS)))
    json.dumps(shown.document(), default=str)


def _accounts() -> tuple[bytes, ...]:
    owners = (0, 0, 0, 1, 2, 1, 3, 3)
    pairs = enumerate(zip(DISCRIMINATORS, owners, strict=True))
    return tuple(bytes([index | owner << 3]) + discriminator + bytes(400) for index, (discriminator, owner) in pairs)


def _answers() -> tuple[bytes, ...]:
    account = {"data": [base64.b64encode(b"abc").decode(), "base64"], "owner": KEY, "lamports": 5, "executable": False,
               "rentEpoch": 2**64 - 1, "space": 3}  # fmt: skip
    seen = {"context": {"slot": 5, "apiVersion": "3.1.8"}}
    status = {"slot": 1, "confirmations": None, "err": None, "confirmationStatus": "finalized"}
    simulation = {"err": {"InstructionError": [0, {"Custom": 6000}]}, "logs": ["x"], "unitsConsumed": 5}
    transaction = {
        "slot": 5,
        "blockTime": 7,
        "meta": {"err": None, "fee": 5000, "preBalances": [9], "postBalances": [4], "logMessages": ["x"],
                 "preTokenBalances": [], "postTokenBalances": [], "innerInstructions": [],
                 "loadedAddresses": {"writable": [], "readonly": []}},
        "transaction": {"signatures": [KEY], "message": {"accountKeys": [KEY], "recentBlockhash": KEY,
                        "header": {"numRequiredSignatures": 1, "numReadonlySignedAccounts": 0,
                                   "numReadonlyUnsignedAccounts": 0},
                        "instructions": [{"programIdIndex": 0, "accounts": [0], "data": "3Bxs"}]}},
    }  # fmt: skip
    results: tuple[Any, ...] = (
        5,
        "text",
        {**seen, "value": {"blockhash": KEY, "lastValidBlockHeight": 9}},
        {**seen, "value": [{"pubkey": KEY, "account": account}]},
        {**seen, "value": [account, None]},
        {**seen, "value": [status, None]},
        {**seen, "value": simulation},
        transaction,
        {"signature": KEY, "slot": 1, "err": None, "memo": None, "blockTime": 1, "confirmationStatus": "finalized"},
        {**seen, "value": 7},
    )
    found = [
        bytes([index]) + json.dumps({"jsonrpc": "2.0", "id": 1, "result": each}).encode()
        for index, each in enumerate(results)
    ]
    error = {"code": -32002, "message": "x", "data": {"err": {"InstructionError": [1, "Custom"]}, "logs": ["a"]}}
    found += [
        bytes([index]) + json.dumps({"jsonrpc": "2.0", "id": 1, "error": error}).encode() for index in (0, 48, 64)
    ]
    return tuple(found)


def _messages() -> tuple[bytes, ...]:
    account = {"data": ["", "base64"], "owner": KEY, "lamports": 1}
    context = {"slot": 5}
    results = {
        "slotNotification": {"slot": 5},
        "programNotification": {"context": context, "value": {"pubkey": KEY, "account": account}},
        "accountNotification": {"context": context, "value": account},
    }
    pushed = [
        {"method": method, "params": {"result": result, "subscription": number}}
        for number, (method, result) in enumerate(results.items(), 6)
    ]
    answers = [{"id": 1, "result": 7}, {"id": 2, "error": {"code": -32601, "message": "no"}}]
    return tuple(json.dumps({"jsonrpc": "2.0", **each}).encode() for each in (*pushed, *answers))


def _key_files() -> tuple[bytes, ...]:
    with tempfile.TemporaryDirectory() as folder:
        Wallet.create(Path(folder) / "plain.json")
        plain = (Path(folder) / "plain.json").read_bytes()
    small = {
        "format": "gpunode-wallet",
        "version": 1,
        "address": KEY,
        "kdf": {"name": "scrypt", "n": 1 << 14, "r": 8, "p": 1, "salt": base64.b64encode(bytes(32)).decode()},
        "cipher": {"name": "chacha20-poly1305", "nonce": base64.b64encode(bytes(12)).decode()},
        "secret": base64.b64encode(bytes(48)).decode(),
    }
    return (plain, json.dumps(small).encode())


def _offers() -> tuple[bytes, ...]:
    from solders.hash import Hash
    from solders.message import Message, MessageV0
    from solders.pubkey import Pubkey
    from solders.system_program import TransferParams, transfer

    payer = Pubkey.from_string(KEY)
    pay = transfer(TransferParams(from_pubkey=payer, to_pubkey=Pubkey.default(), lamports=5))
    legacy = bytes(Message.new_with_blockhash([pay], payer, Hash.default()))
    new = bytes([128]) + bytes(MessageV0.try_compile(payer, [pay], [], Hash.default()))
    return (legacy, b"\1" + bytes(64) + legacy, b"\1" + bytes(64) + new, base64.b64encode(b"\1" + bytes(64) + legacy))


TARGETS = (
    Target("account", account, _accounts, (AccountMalformed, GpunodeError)),
    Target("rpc", rpc, _answers),
    Target("subscription", subscription, _messages),
    Target("key-file", key_file, _key_files),
    Target("offer", offer, _offers),
)
