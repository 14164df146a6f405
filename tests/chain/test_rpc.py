"""The JSON-RPC client against answers of every kind, and against sockets that do not answer."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.chain import standing, transport
from node.chain.filters import DataSize, Memcmp
from node.chain.replies import BlockSummary, signature_status
from node.chain.rpc import Rpc
from node.errors import AccountMalformed, GpunodeError, RpcRejected, RpcUnavailable, TransactionFailed, WrongCluster
from node.records import Address
from tests.chain.fakes import FakeClock

HERE = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
Answer = Callable[[httpx.Request], httpx.Response]


def client(answer: Answer, urls: tuple[str, ...] = ("http://one.test",), clock: FakeClock | None = None) -> Rpc:
    transport_ = httpx.MockTransport(answer)
    return Rpc(urls, clock=clock or FakeClock(), client=httpx.AsyncClient(transport=transport_))


def result(value: Any) -> Answer:
    return lambda _request: httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": value})


def error(code: int, data: Any = None, message: str = "no") -> Answer:
    body = {"jsonrpc": "2.0", "id": 1, "error": {"code": code, "message": message, "data": data}}
    return lambda _request: httpx.Response(200, json=body)


def with_slot(value: Any, slot: int = 5) -> Any:
    return {"context": {"slot": slot}, "value": value}


def account(data: bytes = b"abc", owner: str = str(HERE)) -> Any:
    encoded = [base64.b64encode(data).decode(), "base64"]
    return {"data": encoded, "owner": owner, "lamports": 9, "executable": False, "rentEpoch": 0, "space": len(data)}


async def test_accounts_with_the_slot_of_their_view() -> None:
    asked: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        call = json.loads(request.content)
        asked.append(call)
        values = [account() if index % 2 else None for index in range(len(call["params"][0]))]
        return result(with_slot(values, 77))(request)

    rpc = client(answer)
    found = await rpc.get_accounts([HERE] * 150, min_context_slot=70)
    assert len(found) == 150
    assert found[0] is None
    assert found[1] is not None
    assert (found[1].data, found[1].lamports, found[1].slot, found[1].address) == (b"abc", 9, 77, HERE)
    assert [len(each["params"][0]) for each in asked] == [100, 50]
    assert asked[0]["params"][1] == {"commitment": "confirmed", "encoding": "base64", "minContextSlot": 70}


async def test_program_accounts_carry_filters() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        config = json.loads(request.content)["params"][1]
        assert config["withContext"] is True
        memcmp = {"offset": 8, "bytes": "5Q", "encoding": "base58"}
        assert config["filters"] == [{"memcmp": memcmp}, {"dataSize": 3}]
        return result(with_slot([{"pubkey": HERE, "account": account()}]))(request)

    (found,) = await client(answer).get_program_accounts(HERE, [Memcmp(8, b"\xff"), DataSize(3)])
    assert found.address == HERE


async def test_a_pinned_view_asks_for_its_commitment_and_slot_or_for_what_was_seen_since() -> None:
    seen: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content)["params"][-1])
        return result(with_slot(3, 40))(request)

    rpc = client(answer)
    view = rpc.pinned("finalized", 30)
    assert await view.get_balance(HERE) == 3
    assert await view.get_balance(HERE, commitment="confirmed", min_context_slot=35) == 3
    assert await rpc.get_balance(HERE) == 3
    assert seen == [
        {"commitment": "finalized", "minContextSlot": 30},
        {"commitment": "confirmed", "minContextSlot": 35},
        {"commitment": "confirmed", "minContextSlot": 40},
    ]


async def test_a_view_that_lags_is_waited_for() -> None:
    slots = iter([3, 4, 10])

    def answer(request: httpx.Request) -> httpx.Response:
        # An endpoint (or a proxy before several) that ignores minContextSlot.
        return result(with_slot(1, next(slots)))(request)

    clock = FakeClock()
    assert await client(answer, clock=clock).get_balance(HERE, min_context_slot=10) == 1
    assert clock.now > 1_700_000_000.3


async def test_not_yet_is_tried_again_and_then_unavailable() -> None:
    tries = []

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(1)
        return error(-32016, {"contextSlot": 3}, "Minimum context slot has not been reached")(request)

    with pytest.raises(RpcUnavailable, match="not reached"):
        await client(answer).get_balance(HERE, min_context_slot=10)
    assert len(tries) == 5


async def test_the_next_endpoint_answers_where_one_fails() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return result(7)(request) if request.url.host == "two.test" else httpx.Response(503)

    clock = FakeClock()
    rpc = client(answer, ("http://one.test", "http://two.test"), clock)
    assert await rpc.get_slot() == 7
    assert await rpc.get_slot() == 7
    # The one that failed is asked last for a while, then first again.
    assert asked == ["one.test", "two.test", "two.test"]
    clock.now += standing.FIRST_COOL_DOWN + 0.1
    await rpc.get_slot()
    assert asked[3:] == ["one.test", "two.test"]


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 503, 504, 302])
async def test_http_errors_are_unavailable_with_a_hint(status: int) -> None:
    with pytest.raises(RpcUnavailable, match=str(status)) as caught:
        await client(lambda _request: httpx.Response(status, text="<html>")).get_slot()
    assert caught.value.hint


async def test_a_method_that_one_endpoint_does_not_serve_is_asked_of_the_next() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "lean":
            return error(-32601, None, "Method not found")(request)
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": 1, "result": 7})

    over = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    assert await Rpc(["http://lean", "http://full"], client=over, clock=FakeClock()).get_slot() == 7
    with pytest.raises(RpcRejected):
        await Rpc(["http://lean", "http://lean"], client=over, clock=FakeClock()).get_slot()


async def test_errors_that_stay_are_rejected() -> None:
    tries = []

    def answer(request: httpx.Request) -> httpx.Response:
        tries.append(1)
        return error(-32602, {"x": 1}, "Invalid param")(request)

    with pytest.raises(RpcRejected) as caught:
        await client(answer).get_slot()
    assert (caught.value.code, caught.value.data, len(tries)) == (-32602, {"x": 1}, 1)


async def test_a_json_error_in_an_http_error_is_read() -> None:
    body = {"jsonrpc": "2.0", "id": 1, "error": {"code": -32602, "message": "Invalid"}}
    with pytest.raises(RpcRejected):
        await client(lambda _request: httpx.Response(400, json=body)).get_slot()


async def test_a_preflight_failure_is_a_named_failure() -> None:
    logs = [
        "Program log: Instruction: Stop",
        "Program log: AnchorError occurred. Error Code: NotInMarketQueue. Error Number: 6002. Error Message: Gone..",
    ]
    data = {"err": {"InstructionError": [0, {"Custom": 6002}]}, "logs": logs}
    with pytest.raises(TransactionFailed) as caught:
        await client(error(-32002, data)).send_raw(b"x")
    assert caught.value.error == "NotInMarketQueue"
    assert caught.value.logs == tuple(logs)


async def test_sending_leaves_preflight_and_repeating_to_us() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content)["params"] == [
            base64.b64encode(b"wire").decode(),
            {"encoding": "base64", "skipPreflight": True, "maxRetries": 0},
        ]
        return result("sig")(request)

    assert await client(answer).send_raw(b"wire") == "sig"


async def test_an_airdrop_is_never_asked_for_twice() -> None:
    tries = []

    def answer(_request: httpx.Request) -> httpx.Response:
        tries.append(1)
        return httpx.Response(500)

    with pytest.raises(RpcUnavailable):
        await client(answer).request_airdrop(HERE, 1)
    assert tries == [1]


async def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RESPONSE_LIMIT", 1000)
    with pytest.raises(RpcUnavailable, match="1,000"):
        await client(lambda _request: httpx.Response(200, content=b"x" * 2000)).get_slot()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["context", "slot", "value", "data", "owner", "result", "error", "code", "err", "meta"]),
            inner,
        )
    ),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(json_values)
async def test_whatever_is_answered_only_our_errors_come_out(value: Any) -> None:
    for answer in (result(value), lambda _request: httpx.Response(200, content=json.dumps(value).encode())):
        rpc = client(answer)
        for call in (
            lambda rpc=rpc: rpc.get_account(HERE),
            lambda rpc=rpc: rpc.get_program_accounts(HERE),
            lambda rpc=rpc: rpc.get_latest_blockhash(),
            lambda rpc=rpc: rpc.get_signature_statuses(["x"]),
            lambda rpc=rpc: rpc.get_transaction("x"),
            lambda rpc=rpc: rpc.simulate(b""),
            lambda rpc=rpc: rpc.get_token_amount(HERE),
            lambda rpc=rpc: rpc.get_block(1),
            lambda rpc=rpc: rpc.get_signatures_for_address(HERE),
            lambda rpc=rpc: rpc.prioritization_fees([HERE]),
        ):
            with suppress(GpunodeError):
                await call()


async def test_token_amounts() -> None:
    data = bytes(64) + (12).to_bytes(8, "little") + bytes(36) + b"\1" + bytes(56)
    token = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA"
    assert await client(result(with_slot([account(data, token)]))).get_token_amount(HERE) == 12
    assert await client(result(with_slot([None]))).get_token_amount(HERE) == 0
    with pytest.raises(AccountMalformed):
        await client(result(with_slot([account(data)]))).get_token_amount(HERE)


@pytest.mark.parametrize("code", [-32001, -32007, -32009, -32011])
async def test_a_block_that_is_not_there(code: int) -> None:
    """Deleted since, skipped, in no archive, or there is no archive (Agave's codes)."""
    assert await client(error(code)).get_block(1) is None


async def test_a_block_that_another_endpoint_keeps() -> None:
    kept = {"blockhash": "abc", "blockHeight": 3, "blockTime": 4}

    def answer(request: httpx.Request) -> httpx.Response:
        return (error(-32001) if request.url.host == "one.test" else result(kept))(request)

    block = await client(answer, ("http://one.test", "http://two.test")).get_block(1)
    assert block == BlockSummary(slot=1, blockhash="abc", height=3, time=4)


async def test_a_block_that_is_refused() -> None:
    with pytest.raises(RpcRejected):
        await client(error(-32602)).get_block(1)


async def test_another_chain_is_noticed() -> None:
    rpc = client(result("abc"))
    await rpc.require_genesis("abc")
    with pytest.raises(WrongCluster, match="abc"):
        await rpc.require_genesis("def")


def test_statuses_of_old_servers() -> None:
    old = signature_status({"slot": 1, "confirmations": None, "err": None})
    assert old is not None
    assert old.reached("finalized")
    new = signature_status({"slot": 1, "confirmations": 3, "err": None, "confirmationStatus": "confirmed"})
    assert new is not None
    assert new.reached("processed")
    assert not new.reached("finalized")


def test_urls_are_shown_without_their_secrets() -> None:
    assert transport.shown("https://user:pass@rpc.test/v2/SECRET?api-key=SECRET") == "https://rpc.test"
    assert transport.shown("http://[::1") == "(malformed URL)"
    assert transport.shown("http://h:8899/x") == "http://h:8899"


@pytest.mark.parametrize("url", ["http://", "http://[::1", "nonsense", "ftp://x.test", "http://\x00", "http://a b"])
async def test_urls_that_are_none_are_unavailable(url: str) -> None:
    async with Rpc([url], clock=FakeClock()) as rpc:
        with pytest.raises(RpcUnavailable):
            await rpc.get_slot()


async def test_a_closed_port_is_unavailable(unused_tcp_port: int) -> None:
    async with Rpc([f"http://127.0.0.1:{unused_tcp_port}/key=SECRET"], clock=FakeClock()) as rpc:
        with pytest.raises(RpcUnavailable) as caught:
            await rpc.get_slot()
    assert "SECRET" not in caught.value.message
    assert "rpc.urls" in caught.value.hint


async def test_a_server_that_never_answers_or_speaks_no_tls_is_unavailable() -> None:
    served: list[asyncio.StreamWriter] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(writer)
        await reader.read()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for scheme in ("http", "https"):
            async with Rpc([f"{scheme}://127.0.0.1:{port}"], timeout=0.05, clock=FakeClock()) as rpc:
                with pytest.raises(RpcUnavailable):
                    await rpc.get_slot()
        for writer in served:
            writer.close()
            await writer.wait_closed()


async def test_an_answer_that_drips_in_is_given_up() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
        with suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, Rpc([f"http://127.0.0.1:{port}"], timeout=0.02, clock=FakeClock()) as rpc:
        with pytest.raises(RpcUnavailable, match="in time"):
            await rpc.get_slot()
        await asyncio.sleep(0.03)
