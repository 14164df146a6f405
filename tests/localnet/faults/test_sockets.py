"""Sockets that stay open and say nothing, or too late, or end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import pytest_asyncio
from solders.keypair import Keypair
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from node.localnet.app import Localnet
from node.localnet.options import LocalnetOptions
from tests.localnet.faults.ear import listening
from tests.localnet.rpc import PROCESSED, RpcClient, pay, wallet

STILL = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)


@pytest_asyncio.fixture
async def net() -> AsyncIterator[Localnet]:
    """Two endpoints."""
    async with Localnet.start(replace(STILL, endpoints=2)) as net:
        yield net


async def test_a_mute_socket_stays_open_and_says_nothing(net: Localnet) -> None:
    async with listening(net.ws_url) as ear, listening(net.ws_urls[1]) as other:
        slots, others = await ear.ask("slotSubscribe"), await other.ask("slotSubscribe")
        mute = net.faults.set({"kind": "mute", "endpoint": 0})
        for _ in range(3):
            net.validator.begin_block()
        await ear.say("slotSubscribe")
        await other.slot(net.validator.slots.head.slot, others)
        pong = await ear.socket.ping()
        await pong  # pings are answered, as by a proxy
        assert await ear.everything() == []
        assert mute.hits == 4, "three slots and the answer"
        net.faults.clear()
        net.validator.begin_block()
        await ear.slot(net.validator.slots.head.slot, slots)
        assert len(ear.heard[slots]) == 1, "what was to come is lost"


async def test_a_socket_can_be_so_dead_that_pings_are_not_answered(net: Localnet) -> None:
    net.faults.set({"kind": "mute", "pongs": False})
    async with listening(net.ws_url, ping_interval=0.1, ping_timeout=0.1, close_timeout=0.1) as ear:
        with pytest.raises(ConnectionClosed):
            await ear.socket.recv()


async def test_only_the_sockets_of_that_moment_are_mute(net: Localnet) -> None:
    async with listening(net.ws_url) as old:
        await old.ask("slotSubscribe")
        net.faults.set({"kind": "mute", "sockets": "open"})
        async with listening(net.ws_url) as new:
            slots = await new.ask("slotSubscribe")
            net.validator.begin_block()
            await new.slot(net.validator.slots.head.slot, slots)
            assert await old.everything() == []


async def test_one_kind_or_one_number_of_subscription_is_mute(net: Localnet) -> None:
    key = Keypair().pubkey()
    async with listening(net.ws_url) as ear:
        config = {"encoding": "base64", **PROCESSED}
        first = await ear.ask("accountSubscribe", str(key), config)
        second = await ear.ask("accountSubscribe", str(key), {**config, "encoding": "base64+zstd"})
        program = await ear.ask("programSubscribe", "1" * 32, config)
        slots = await ear.ask("slotSubscribe")
        net.faults.set({"kind": "mute", "subscriptions": ["program", second]})
        net.fund(str(key), sol=1)  # type: ignore[arg-type]
        net.validator.begin_block()
        await ear.slot(net.validator.slots.head.slot, slots)
        assert [len(ear.heard[number]) for number in (first, second, program)] == [1, 0, 0]
        assert await ear.ask("slotSubscribe"), "answers come"


async def test_a_number_of_messages_is_lost(net: Localnet) -> None:
    async with listening(net.ws_url) as ear:
        slots = await ear.ask("slotSubscribe")
        net.faults.set({"kind": "mute", "subscriptions": ["slot"], "count": 2})
        for _ in range(3):
            net.validator.begin_block()
        await ear.slot(net.validator.slots.head.slot, slots)
        assert len(ear.heard[slots]) == 1


async def test_all_sockets_end_at_once(net: Localnet) -> None:
    async with listening(net.ws_url) as ear, listening(net.ws_urls[1]) as other:
        slots = await other.ask("slotSubscribe")
        assert net.faults.set({"kind": "disconnect", "endpoint": 0}).hits == 1
        with pytest.raises(ConnectionClosed):
            await ear.socket.recv()
        net.validator.begin_block()
        await other.slot(net.validator.slots.head.slot, slots)
    async with listening(net.ws_url) as again:
        assert await again.ask("slotSubscribe")


async def test_an_endpoint_that_is_down_has_no_sockets(net: Localnet) -> None:
    async with listening(net.ws_url) as ear:
        net.faults.set({"kind": "down", "endpoint": 0})
        with pytest.raises(ConnectionClosed):
            await ear.socket.recv()
        with pytest.raises((InvalidHandshake, ConnectionClosed, OSError, EOFError)):
            async with listening(net.ws_url):
                pass
        async with listening(net.ws_urls[1]) as other:
            assert type(await other.ask("slotSubscribe")) is int


async def test_a_refused_subscription(net: Localnet) -> None:
    net.faults.set({"kind": "error", "code": -32603, "methods": ["programSubscribe"], "count": 1})
    async with listening(net.ws_url) as ear:
        await ear.say("programSubscribe", "1" * 32)
        (answer,) = await ear.everything()
        assert answer["error"] == {"code": -32603, "message": "Internal error"}
        assert type(await ear.ask("programSubscribe", "1" * 32)) is int


async def test_a_lagging_endpoint_tells_late_and_in_order(net: Localnet) -> None:
    async with httpx.AsyncClient() as http:
        rpc = RpcClient(net, http)
        payer, to = wallet(net), Keypair()
        net.validator.begin_block()
        async with listening(net.ws_url) as late, listening(net.ws_urls[1]) as prompt:
            numbers = []
            for ear in (late, prompt):
                config = {"encoding": "base64", **PROCESSED}
                account = await ear.ask("accountSubscribe", str(to.pubkey()), config)
                numbers.append((account, await ear.ask("slotSubscribe")))
            net.faults.set({"kind": "lag", "slots": 4, "endpoint": 0})
            transaction = pay(payer, to.pubkey(), 5_000_000, await rpc.blockhash())
            await rpc.send(transaction, skipPreflight=True)
            landed = net.validator.slots.head.slot
            for _ in range(4):
                assert late.heard[numbers[0][0]] == []
                net.validator.begin_block()
            await prompt.slot(landed + 4, numbers[1][1])
            assert [each["context"]["slot"] for each in prompt.heard[numbers[1][0]]] == [landed]
            await late.everything()
            assert [each["value"]["lamports"] for each in late.heard[numbers[0][0]]] == [5_000_000]
            assert late.heard[numbers[0][1]] == []
            net.validator.begin_block()
            await late.slot(landed + 1, numbers[0][1])
            net.faults.clear()
            await late.slot(landed + 5, numbers[0][1])
            told = [each["slot"] for each in late.heard[numbers[0][1]]]
            assert told == [each["slot"] for each in prompt.heard[numbers[1][1]]] + [landed + 5], "nothing is lost"
