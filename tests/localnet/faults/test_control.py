"""How faults are set, listed and cleared: JSON, the admin call, the command, and from the start on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from node.errors import LocalnetError
from node.localnet.app import Localnet
from node.localnet.faults.kinds import BY_NAME, KINDS, Delay, Fault, Fork, Mute, RateLimit
from node.localnet.faults.reading import fault_json, parse_fault, parse_faults, read_faults
from node.localnet.options import LocalnetOptions
from tests.localnet.rpc import RpcClient

SLOT = {"jsonrpc": "2.0", "id": 1, "method": "getSlot"}
STILL = LocalnetOptions(rpc_port=0, content_port=0, slot_ms=0)
ROOT = Path(__file__).parents[3]


# --- JSON


@given(st.data())
def test_every_fault_comes_back_from_its_json(data: st.DataObject) -> None:
    made = data.draw(st.sampled_from(KINDS).flatmap(_faults))
    assert parse_fault(json.loads(json.dumps(fault_json(made)))) == made


def _faults(kind: type[Fault]) -> st.SearchStrategy[Fault]:
    common: dict[str, st.SearchStrategy[Any]] = {
        "endpoint": st.none() | st.integers(0, 5),
        "after": st.floats(0, 9),
        "count": st.none() | st.integers(1, 9),
        "share": st.floats(0.1, 1),
    }
    if kind.lasting:
        common["lasts"] = st.none() | st.floats(0.1, 9)
    own: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "429": {
            "methods": st.tuples(st.text()),
            "retry_after": st.none() | st.floats(0, 9),
            "allow": st.integers(0, 9),
        },
        "delay": {"seconds": st.floats(0, 9), "at": st.sampled_from(["request", "answer"])},
        "error": {"code": st.integers(), "data": st.none() | st.dictionaries(st.text(), st.integers())},
        "http": {"status": st.integers(200, 599), "body": st.text()},
        "drop": {"mentions": st.tuples(st.text())},
        "late": {"slots": st.integers(1, 9)},
        "mute": {"subscriptions": st.tuples(st.text() | st.integers(1, 9)), "pongs": st.booleans()},
        "lag": {"slots": st.integers(1, 9)},
        "fork": {"slot": st.none() | st.integers(0, 9), "again": st.none() | st.integers(1, 9)},
        "expire": {"how": st.sampled_from(["blocks", "forget"])},
    }
    return st.builds(kind, **common, **own.get(kind.kind, {}))


def test_faults_are_read_from_text_or_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    text = '[{"kind": "429", "methods": ["getSlot"]}, {"kind": "delay", "seconds": 2}]'
    file.write_text(text)
    expected = (RateLimit(methods=("getSlot",)), Delay(seconds=2))
    assert read_faults(text) == read_faults(str(file)) == expected
    assert read_faults('{"kind": "mute", "subscriptions": "program"}') == (Mute(subscriptions=("program",)),)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({}, "no fault of the kind ''"),
        ({"kind": "flood"}, "no fault of the kind 'flood'"),
        ({"kind": "delay"}, "needs 'seconds'"),
        ({"kind": "delay", "seconds": "long"}, "seconds of the fault 'delay' cannot be 'long'"),
        ({"kind": "delay", "seconds": True}, "cannot be True"),
        ({"kind": "delay", "seconds": -1}, "cannot be -1"),
        ({"kind": "delay", "seconds": 1, "metods": []}, "has no 'metods'"),
        ({"kind": "429", "count": 0}, "count of the fault '429' cannot be 0"),
        ({"kind": "429", "count": 1.5}, "cannot be 1.5"),
        ({"kind": "429", "share": 0}, "share of the fault '429'"),
        ({"kind": "429", "methods": [7]}, "methods of the fault '429' cannot be 7"),
        ({"kind": "http", "status": 99}, "status of the fault 'http'"),
        ({"kind": "mute", "sockets": "half"}, "cannot be 'half'"),
        ({"kind": "lag"}, "slots of the fault 'lag'"),
        ({"kind": "lag", "slots": 1, "slot": 1}, "slots of the fault 'lag'"),
        ({"kind": "fork", "lasts": 3}, "lasts of the fault 'fork'"),
        ({"kind": "fork", "slot": 3, "slots": 3}, "slots of the fault 'fork'"),
        (["429"], "an object with a kind"),
    ],
)
def test_what_is_no_fault_is_named(value: Any, says: str) -> None:
    with pytest.raises(LocalnetError) as refused:
        parse_faults(value)
    assert says in refused.value.message
    assert refused.value.hint


def test_a_file_that_is_not_there_or_no_json(tmp_path: Path) -> None:
    with pytest.raises(LocalnetError, match="no faults can be read"):
        read_faults(str(tmp_path / "none.json"))
    with pytest.raises(LocalnetError, match="no JSON"):
        read_faults("[{")


# --- the admin call


async def test_the_admin_call_sets_lists_and_clears(rpc: RpcClient) -> None:
    limit, wait = {"kind": "429", "count": 3, "methods": ["getSlot"]}, {"kind": "http", "after": 60, "lasts": 30}
    answer = await rpc.call("localnet_faults", "set", limit, wait)
    first, second = answer["faults"]
    assert first == {"id": 1, **limit, "hits": 0, "left": 3}
    assert {name: second[name] for name in wait} == wait
    assert 59 < second["begins_in"] <= 60
    assert 89 < second["ends_in"] <= 90
    async with httpx.AsyncClient() as http:
        assert (await http.post(rpc.net.rpc_url, json=SLOT)).status_code == 429
    (first, _) = (await rpc.call("localnet_faults", "list"))["faults"]
    assert (first["hits"], first["left"]) == (1, 2)
    answer = await rpc.call("localnet_faults", "clear", first["id"])
    assert [each["id"] for each in answer["faults"]] == [2]
    assert [(each["id"], each["hits"]) for each in answer["ended"]] == [(1, 1)]
    assert (await rpc.call("localnet_faults", "clear"))["faults"] == []
    assert len((await rpc.call("localnet_faults"))["ended"]) == 2


async def test_the_admin_call_sets_all_or_none_and_says_why(rpc: RpcClient) -> None:
    error = await rpc.fail("localnet_faults", "set", {"kind": "429"}, {"kind": "429", "endpoint": 3})
    assert (error["code"], error["message"]) == (-32602, "there is no endpoint 3")
    assert "endpoints" in error["data"]["hint"]
    assert (await rpc.call("localnet_faults"))["faults"] == []
    for params in (["set", {"kind": "fork", "slot": 1}], ["clear", 9], ["clear", "all"], ["drop"]):
        assert (await rpc.fail("localnet_faults", *params))["code"] == -32602


async def test_faults_of_a_moment_are_over_when_the_answer_comes(rpc: RpcClient) -> None:
    head = rpc.net.validator.slots.head.slot
    answer = await rpc.call("localnet_faults", "set", {"kind": "fork", "slots": 3})
    assert answer["faults"] == []
    assert answer["ended"] == [{"id": 1, "kind": "fork", "slots": 3, "hits": 0}]
    assert rpc.net.validator.slots.head.slot == head + 1


async def test_a_fault_may_wait_for_its_time(still_localnet: Localnet) -> None:
    fork = still_localnet.faults.set(Fork(slots=3, after=0.05))
    still_localnet.advance()
    assert not fork.over
    await asyncio.sleep(0.06)
    assert not fork.over, "it looks when a slot passes"
    parent = still_localnet.validator.slots.head.slot
    still_localnet.advance()
    assert fork.over
    assert still_localnet.validator.slots.find(parent) is None


async def test_in_python_a_fault_can_hold_for_a_block(still_localnet: Localnet) -> None:
    faults = still_localnet.faults
    with faults.during({"kind": "stall"}, {"kind": "drop"}) as (stall, _):
        tip = still_localnet.validator.slots.tip
        still_localnet.advance(2)
        assert (still_localnet.validator.slots.tip, stall.hits) == (tip, 2)
    assert faults.describe()["faults"] == []
    with faults.during({"kind": "stall"}):
        faults.clear()
    still_localnet.advance()
    assert still_localnet.validator.slots.tip == tip + 1


async def test_faults_hold_from_the_start_on_each_endpoint() -> None:
    faults = read_faults('[{"kind": "429", "endpoint": 1}, {"kind": "lag", "slots": 5, "endpoint": 2}]')
    async with Localnet.start(replace(STILL, endpoints=3, faults=faults)) as net, httpx.AsyncClient() as http:
        answers = [await http.post(url, json=SLOT) for url in net.rpc_urls]
        assert [each.status_code for each in answers] == [200, 429, 200]
        assert len({*net.rpc_urls, *net.ws_urls}) == 6
        assert net.describe()["endpoints"][2] == {"rpc_url": net.rpc_urls[2], "ws_url": net.ws_urls[2]}


# --- the command


class Command:
    """`gpunode localnet` as a process, and a chain that it has started."""

    def __init__(self, chain: dict[str, Any]) -> None:
        self.chain = chain

    async def faults(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit status and document of `localnet faults`."""
        process = await run("localnet", "faults", *words, "--rpc", self.chain["rpc_url"], "--json")
        out, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, json.loads(out)


async def run(*words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "node.cli",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "GPUNODE_SETTINGS": "/nonexistent"},
    )


@pytest_asyncio.fixture
async def command() -> AsyncIterator[Command]:
    ports = ("--rpc-port", "0", "--content-port", "0", "--endpoints", "2")
    process = await run("localnet", "start", *ports, "--faults", '{"kind": "http", "endpoint": 1}', "--json")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            yield Command(json.loads(await process.stdout.readline()))
    finally:
        process.send_signal(signal.SIGTERM)
        await process.communicate()


@pytest.mark.long
async def test_the_command_sets_lists_and_clears(command: Command) -> None:
    async with httpx.AsyncClient() as http:
        urls = [each["rpc_url"] for each in command.chain["endpoints"]]
        assert [(await http.post(url, json=SLOT)).status_code for url in urls] == [200, 503]
        status, answer = await command.faults("set", "429", "methods=getSlot,getBal*", "count=2", "retry_after=3")
        assert (status, answer["ok"]) == (0, True)
        assert answer["faults"][1] == {
            "id": 2,
            "kind": "429",
            "methods": ["getSlot", "getBal*"],
            "count": 2,
            "retry_after": 3,
            "hits": 0,
            "left": 2,
        }
        limited = await http.post(urls[0], json=SLOT)
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "3")
    _, answer = await command.faults("list")
    assert [each["hits"] for each in answer["faults"]] == [1, 1]
    _, answer = await command.faults("set", '[{"kind": "stall", "lasts": 600}, {"kind": "mute"}]')
    assert len(answer["faults"]) == 4
    _, answer = await command.faults("clear", "1", "2")
    assert [each["kind"] for each in answer["faults"]] == ["stall", "mute"]
    _, answer = await command.faults("clear")
    assert answer["faults"] == []
    for words in (("set", "flood"), ("set", "429", "often"), ("set", "fork", "slot=0"), ("clear", "99")):
        status, answer = await command.faults(*words)
        assert (status != 0, answer["ok"]) == (True, False)
        assert answer["error"]["hint"]


async def test_faults_that_are_none_stop_the_start() -> None:
    process = await run("localnet", "start", "--rpc-port", "0", "--content-port", "0", "--faults", '{"kind": "x"}')
    out, err = await process.communicate()
    assert process.returncode == 1
    assert out == b""
    assert b"no fault of the kind 'x'" in err


def test_every_kind_is_in_the_manual_and_in_the_help() -> None:
    from node.cli.localnet.faults import set_faults

    manual = (ROOT / "deploy" / "README.md").read_text()
    for kind in BY_NAME:
        assert f"| `{kind}`" in manual, kind
        assert kind in (set_faults.__doc__ or ""), kind
