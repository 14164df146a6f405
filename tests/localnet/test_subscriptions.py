"""Subscriptions over a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from websockets.asyncio.client import ClientConnection, connect

from node.localnet.app import Localnet
from tests.localnet.rpc import CONFIRMED, FINALIZED, MEMO, PROCESSED, RpcClient, address, memo, pay, signed, wallet


class Socket:
    """A subscriber; notifications are read in order."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._waiting: list[dict[str, Any]] = []

    async def send(self, body: Any) -> None:
        await self._connection.send(json.dumps(body))

    async def receive(self) -> dict[str, Any]:
        async with asyncio.timeout(5):
            found: dict[str, Any] = json.loads(await self._connection.recv())
            return found

    async def call(self, method: str, *params: Any) -> dict[str, Any]:
        await self.send({"jsonrpc": "2.0", "id": "x", "method": method, "params": list(params)})
        while "id" not in (answer := await self.receive()):
            self._waiting.append(answer)
        return answer

    async def subscribe(self, kind: str, *params: Any) -> int:
        answer = await self.call(f"{kind}Subscribe", *params)
        return int(answer["result"])

    async def told(self, kind: str, number: int) -> Any:
        """The next notification; it must be of that subscription."""
        message = self._waiting.pop(0) if self._waiting else await self.receive()
        assert (message["method"], message["params"]["subscription"]) == (f"{kind}Notification", number), message
        return message["params"]["result"]

    async def silent(self) -> bool:
        """Whether nothing was said before the answer to a call that comes after everything so far."""
        await self.call("ping")
        return not self._waiting


@asynccontextmanager
async def socket(url: str) -> AsyncIterator[Socket]:
    async with connect(url) as connection:
        yield Socket(connection)


def http_port(net: Localnet) -> str:
    return net.rpc_url.replace("http://", "ws://")


@pytest.mark.parametrize("port", ["same", "next"])
async def test_both_ports_speak(rpc: RpcClient, port: str) -> None:
    async with socket(http_port(rpc.net) if port == "same" else rpc.net.ws_url) as peer:
        number = await peer.subscribe("slot")
        rpc.net.advance(3)
        told = await peer.told("slot", number)
        assert set(told) == {"slot", "parent", "root"}
        assert told["root"] < told["parent"] < told["slot"]


async def test_signs_of_life_without_id_are_ignored_and_wrong_calls_answered(rpc: RpcClient) -> None:
    async with socket(http_port(rpc.net)) as peer:
        await peer.send({"jsonrpc": "2.0", "method": "ping"})
        answer = await peer.call("getSlot")
        assert answer["error"]["code"] == -32601
        assert (await peer.call("accountSubscribe", "nonsense"))["error"]["code"] == -32602
        assert (await peer.call("slotUnsubscribe", 99))["error"]["code"] == -32602


async def test_account_notifications_follow_their_commitment(rpc: RpcClient) -> None:
    payer, to = wallet(rpc.net), Keypair()
    rpc.net.advance(40)
    async with socket(http_port(rpc.net)) as peer:
        now = await peer.subscribe("account", address(to), {"encoding": "base64", **PROCESSED})
        soon = await peer.subscribe("account", address(to), {"encoding": "base64", **CONFIRMED})
        late = await peer.subscribe("account", address(to), {"encoding": "base64", **FINALIZED})
        await rpc.send(pay(payer, to.pubkey(), 5_000_000, await rpc.blockhash()))
        slot = await rpc.call("getSlot", PROCESSED)
        told = await peer.told("account", now)
        assert told["context"]["slot"] == slot
        assert told["value"] == {
            "lamports": 5_000_000,
            "data": ["", "base64"],
            "owner": "1" * 32,
            "executable": False,
            "rentEpoch": 2**64 - 1,
            "space": 0,
        }
        assert await peer.silent()
        rpc.net.advance(3)
        assert await peer.told("account", soon) == told | {"context": {"slot": slot}}
        assert await peer.silent()
        rpc.net.advance(40)
        assert (await peer.told("account", late))["value"] == told["value"]


async def test_confirmed_notifications_give_the_version_of_their_slot(rpc: RpcClient) -> None:
    payer, to = wallet(rpc.net), Keypair()
    async with socket(http_port(rpc.net)) as peer:
        number = await peer.subscribe("account", address(to), {"encoding": "base64", **FINALIZED})
        await rpc.send(pay(payer, to.pubkey(), 5_000_000, await rpc.blockhash()))
        await rpc.send(pay(payer, to.pubkey(), 6_000_000, await rpc.blockhash()))
        rpc.net.advance(2)
        await rpc.send(pay(payer, to.pubkey(), 7_000_000, await rpc.blockhash()))
        rpc.net.advance(50)
        first, second = await peer.told("account", number), await peer.told("account", number)
        assert (first["value"]["lamports"], second["value"]["lamports"]) == (11_000_000, 18_000_000)
        assert await peer.silent()


async def test_program_notifications_pass_filters(rpc: RpcClient) -> None:
    owner = Keypair()
    token = rpc.net.cluster.token
    by_owner = {"memcmp": {"offset": 32, "bytes": address(owner), "encoding": "base58"}}
    async with socket(http_port(rpc.net)) as peer:
        options = {"encoding": "jsonParsed", "filters": [by_owner, {"dataSize": 165}], **PROCESSED}
        number = await peer.subscribe("program", token, options)
        rpc.net.fund(str(Pubkey.new_unique()), nos=1)  # type: ignore[arg-type]
        gift = rpc.net.fund(address(owner), nos=2)
        told = await peer.told("program", number)
        assert told["value"]["pubkey"] == gift.token_account
        assert told["value"]["account"]["data"]["parsed"]["info"]["tokenAmount"]["uiAmount"] == 2.0
        assert (await peer.call("programUnsubscribe", number))["result"] is True
        rpc.net.fund(address(owner), nos=2)
        assert await peer.silent()


async def test_a_closed_account_is_told_to_its_watcher(rpc: RpcClient) -> None:
    payer, to = wallet(rpc.net), Keypair()
    async with socket(http_port(rpc.net)) as peer:
        watched = await peer.subscribe("account", address(payer), {"encoding": "base64", **PROCESSED})
        await rpc.send(pay(payer, to.pubkey(), 10**9 - 5_000, await rpc.blockhash()))
        told = await peer.told("account", watched)
        assert (told["value"]["lamports"], told["value"]["owner"]) == (0, "1" * 32)


async def test_signatures_are_told_once_even_if_they_landed_before(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    rpc.net.advance(40)
    transaction = signed([memo("x", payer)], payer, await rpc.blockhash())
    text = str(transaction.signatures[0])
    async with socket(http_port(rpc.net)) as peer:
        early = await peer.subscribe("signature", text, PROCESSED)
        later = await peer.subscribe("signature", text, CONFIRMED)
        await rpc.send(transaction)
        assert (await peer.told("signature", early))["value"] == {"err": None}
        assert await peer.silent()
        rpc.net.advance(3)
        assert (await peer.told("signature", later))["value"] == {"err": None}
        after = await peer.subscribe("signature", text, CONFIRMED)
        assert (await peer.told("signature", after))["value"] == {"err": None}
        rpc.net.advance(50)
        assert await peer.silent()
        assert (await peer.call("signatureUnsubscribe", after))["error"]["code"] == -32602


async def test_a_failed_transaction_is_told_with_its_error(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    transaction = pay(payer, Pubkey.new_unique(), 2 * 10**9, await rpc.blockhash())
    async with socket(http_port(rpc.net)) as peer:
        number = await peer.subscribe("signature", str(transaction.signatures[0]), PROCESSED)
        await rpc.send(transaction, skipPreflight=True)
        assert (await peer.told("signature", number))["value"]["err"] == {"InstructionError": [0, {"Custom": 1}]}


async def test_logs_of_all_and_of_one_program(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    async with socket(http_port(rpc.net)) as peer:
        mentions = await peer.subscribe("logs", {"mentions": [str(MEMO)]}, PROCESSED)
        everything = await peer.subscribe("logs", "all", PROCESSED)
        signature = await rpc.send(signed([memo("hello", payer)], payer, await rpc.blockhash()))
        for number in (mentions, everything):
            told = await peer.told("logs", number)
            assert told["value"]["signature"] == signature
            assert told["value"]["err"] is None
            assert 'Program log: Memo (len 5): "hello"' in told["value"]["logs"]
        rpc.net.fund(address(payer), sol=1)
        assert (await peer.told("logs", everything))["value"]["signature"] != signature
        assert (await peer.call("logsSubscribe", {"mentions": ["a", "b"]}))["error"]["code"] == -32602


async def test_roots_rise_in_order(rpc: RpcClient) -> None:
    rpc.net.advance(40)
    async with socket(http_port(rpc.net)) as peer:
        number = await peer.subscribe("root")
        rpc.net.advance(30)
        count = len(rpc.net.validator.slots.between(40, 70))
        told = [await peer.told("root", number) for _ in range(count)]
        assert await peer.silent()
        assert told[-1] == await rpc.call("getSlot")
        assert told == sorted(set(told))


async def test_a_socket_that_closes_takes_its_subscriptions_along(rpc: RpcClient) -> None:
    (subscriptions,) = rpc.net.validator.listeners
    async with socket(http_port(rpc.net)) as peer:
        await peer.subscribe("slot")
        assert len(subscriptions) == 1  # type: ignore[arg-type]
    async with asyncio.timeout(5):
        while len(subscriptions):  # type: ignore[arg-type]
            await asyncio.sleep(0.01)


@pytest.mark.long
async def test_a_subscriber_who_does_not_read_is_given_up_and_the_others_are_not(rpc: RpcClient) -> None:
    (subscriptions,) = rpc.net.validator.listeners
    key, size = Pubkey.new_unique(), 2**19
    async with socket(http_port(rpc.net)) as peer, connect(http_port(rpc.net), max_queue=1, compression=None) as idle:
        number = await peer.subscribe("account", str(key), {"encoding": "base64", **PROCESSED})
        await idle.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "slotSubscribe"}))
        for account in (key, Pubkey.new_unique()):
            options = {"encoding": "base64", **PROCESSED}
            wish = {"jsonrpc": "2.0", "id": 1, "method": "accountSubscribe", "params": [str(account), options]}
            await idle.send(json.dumps(wish))
        async with asyncio.timeout(5):
            while len(subscriptions) < 4:  # type: ignore[arg-type]
                await asyncio.sleep(0.01)
        for turn in range(1, 81):
            rpc.net.validator.place(key, Account(10**10 + turn, bytes(size), Pubkey.default()))
            assert (await peer.told("account", number))["value"]["lamports"] == 10**10 + turn
        async with asyncio.timeout(5):
            while len(subscriptions) > 1:  # type: ignore[arg-type]
                await asyncio.sleep(0.01)
        assert await peer.silent()


async def test_slots_pass_by_themselves(localnet: Localnet) -> None:
    async with socket(http_port(localnet)) as peer:
        number = await peer.subscribe("slot")
        told = [(await peer.told("slot", number))["slot"] for _ in range(4)]
        assert told == sorted(set(told))
