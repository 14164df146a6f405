"""What subscribers are answered and told: requests on a socket, and notifications of a few transactions."""

from __future__ import annotations

import asyncio
import itertools
import json
from typing import Any

from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from spl.token import instructions as token
from spl.token import models
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from node.base58 import b58encode
from node.chain.accounts import MARKET_DISCRIMINATOR
from tests.localnet.differential.ask import CONFIRMED, GOOD, TOKEN
from tests.localnet.differential.masks import Masks
from tests.localnet.differential.names import ALICE, BOB, CAROL, NATIVE, World, memo, pay
from tests.localnet.differential.names import TOKEN as TOKEN_PROGRAM
from tests.localnet.differential.remote import Remote

_WAIT = 60.0
"""Seconds for an answer, and for transactions to be final."""
_QUIET = 1.0
"""Seconds without a word after which nothing more is expected."""
_SIGNATURE = b58encode(bytes(range(64)))
_ODD = ("x", 5, None, True, [], {}, "0" * 40)

REQUESTS: dict[str, tuple[str, Any]] = {
    "account": ("accountSubscribe", [GOOD]),
    "account encoding": ("accountSubscribe", [GOOD, {"encoding": "jsonParsed", **CONFIRMED}]),
    "account unknown encoding": ("accountSubscribe", [GOOD, {"encoding": "hex"}]),
    "account config text": ("accountSubscribe", [GOOD, "confirmed"]),
    "account nothing": ("accountSubscribe", []),
    "account no params": ("accountSubscribe", None),
    "account map": ("accountSubscribe", {"pubkey": GOOD}),
    "account too many": ("accountSubscribe", [GOOD, {}, {}]),
    "program": ("programSubscribe", [TOKEN, {"filters": [{"dataSize": 165}], "encoding": "base64"}]),
    "program too many filters": ("programSubscribe", [TOKEN, {"filters": [{"dataSize": 1}] * 5}]),
    "program bad filter": ("programSubscribe", [TOKEN, {"filters": [{"memcmp": {"offset": 0, "bytes": "0"}}]}]),
    "program long filter": ("programSubscribe", ["x", {"filters": [{"memcmp": {"offset": 0, "bytes": "2" * 180}}]}]),
    "program unknown filter": ("programSubscribe", [TOKEN, {"filters": [{"size": 1}]}]),
    "program short owner": ("programSubscribe", [TOKEN, {"filters": [{"memcmp": {"offset": 32, "bytes": "1"}}]}]),
    "signature": ("signatureSubscribe", [_SIGNATURE]),
    "signature received": ("signatureSubscribe", [_SIGNATURE, {"enableReceivedNotification": True}]),
    "signature flag": ("signatureSubscribe", [_SIGNATURE, {"enableReceivedNotification": 1}]),
    "signature of an address": ("signatureSubscribe", [GOOD]),
    "logs all": ("logsSubscribe", ["all"]),
    "logs with votes": ("logsSubscribe", ["allWithVotes", CONFIRMED]),
    "logs mentions": ("logsSubscribe", [{"mentions": [GOOD]}]),
    "logs mentions none": ("logsSubscribe", [{"mentions": []}]),
    "logs mentions two": ("logsSubscribe", [{"mentions": [GOOD, GOOD]}]),
    "logs mentions nonsense": ("logsSubscribe", [{"mentions": ["x"]}]),
    "logs mentions text": ("logsSubscribe", [{"mentions": GOOD}]),
    "logs none": ("logsSubscribe", ["none"]),
    "logs empty": ("logsSubscribe", [{}]),
    "logs nothing": ("logsSubscribe", []),
    "logs text mentions": ("logsSubscribe", ["mentions"]),
    "slot": ("slotSubscribe", []),
    "slot no params": ("slotSubscribe", None),
    "slot with a param": ("slotSubscribe", [1]),
    "root": ("rootSubscribe", []),
    "slots updates": ("slotsUpdatesSubscribe", []),
    "block": ("blockSubscribe", ["all"]),
    "block nothing": ("blockSubscribe", []),
    "vote": ("voteSubscribe", []),
    "version": ("getVersion", []),
    "slot of http": ("getSlot", []),
    "nothing known": ("nothingSubscribe", []),
    "unsubscribe unknown": ("accountUnsubscribe", [999_999]),
    "unsubscribe text": ("slotUnsubscribe", ["1"]),
    "unsubscribe nothing": ("signatureUnsubscribe", []),
    "unsubscribe block": ("blockUnsubscribe", [999_999]),
    **{f"account {value!r}": ("accountSubscribe", [value]) for value in _ODD},
    **{f"signature {value!r}": ("signatureSubscribe", [value]) for value in _ODD},
    **{f"unsubscribe {value!r}": ("logsUnsubscribe", [value]) for value in _ODD},
}
TEXTS = {
    "broken": "{",
    "batch": '[{"jsonrpc":"2.0","id":1,"method":"getVersion"},{"jsonrpc":"2.0","id":2,"method":"nothing"}]',
    "no version": '{"id":1,"method":"getVersion"}',
    "long": '{"jsonrpc":"2.0","id":1,"method":"' + "x" * 5_000 + '"}',
}


async def socket_answers(remote: Remote, world: World, masks: Masks) -> dict[str, Any]:
    """The masked answers to requests on sockets, and the notifications of each subscription, by name."""
    url, found = remote.chain.ws_url, {}
    for name, (method, params) in REQUESTS.items():
        body = {"jsonrpc": "2.0", "id": 1, "method": method}
        found[f"socket {name}"] = masks.apply(
            await _answer(url, json.dumps(body if params is None else body | {"params": params}))
        )
    for name, text in TEXTS.items():
        found[f"socket text {name}"] = masks.apply(await _answer(url, text))
    found["socket ping"] = await _ping(url)
    found["socket others"] = await _others(url)
    return found | await _notifications(remote, world, masks)


async def _answer(url: str, text: str) -> Any:
    async with connect(url) as socket:
        await socket.send(text)
        try:
            async with asyncio.timeout(_WAIT):
                answer = json.loads(await socket.recv())
        except ConnectionClosed:
            return "<closed>"
    if isinstance(answer, dict) and type(answer.get("result")) is int:
        answer["result"] = "<subscription>"
    return answer


async def _ping(url: str) -> Any:
    """A sign of life without an id is not answered."""
    async with connect(url) as socket:
        await socket.send('{"jsonrpc":"2.0","method":"ping"}')
        await socket.send('{"jsonrpc":"2.0","id":"after","method":"getVersion"}')
        async with asyncio.timeout(_WAIT):
            return json.loads(await socket.recv())["id"]


async def _others(url: str) -> list[Any]:
    """Ending subscriptions: of another kind, twice, another socket's, and one that was asked for twice."""
    async with connect(url) as one, connect(url) as two:
        first = await _call(one, "accountSubscribe", GOOD)
        again = await _call(one, "accountSubscribe", GOOD)
        other = await _call(one, "accountSubscribe", GOOD, CONFIRMED)
        return [
            first["result"] == again["result"],
            first["result"] == other["result"],
            (await _call(two, "accountUnsubscribe", first["result"])).get("error"),
            await _call(one, "logsUnsubscribe", first["result"]),
            await _call(one, "accountUnsubscribe", first["result"]),
            await _call(one, "accountUnsubscribe", other["result"]),
        ]


async def _call(socket: ClientConnection, method: str, *params: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"jsonrpc": "2.0", "id": "x", "method": method, "params": list(params)}))
    async with asyncio.timeout(_WAIT):
        while "id" not in (answer := json.loads(await socket.recv())):
            continue
    found: dict[str, Any] = answer
    return found


class _Listener:
    """Subscriptions on one socket, and what each was told."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._names: dict[int, str] = {}
        self.told: dict[str, list[Any]] = {}

    async def subscribe(self, name: str, method: str, *params: Any) -> None:
        answer = await _call(self._socket, method, *params)
        self._names[answer["result"]] = name
        self.told[name] = []

    async def listen(self) -> None:
        """Until the socket is closed."""
        try:
            async for text in self._socket:
                params = json.loads(text)["params"]
                self.told[self._names[params["subscription"]]].append(params["result"])
        except ConnectionClosed:
            return


async def _notifications(remote: Remote, world: World, masks: Masks) -> dict[str, Any]:
    names, market = world.names, b58encode(MARKET_DISCRIMINATOR)
    jobs = remote.chain.cluster.jobs
    told: dict[str, list[Any]] = {}
    for level in ("processed", "confirmed", "finalized"):
        view = {"commitment": level}
        async with connect(remote.chain.ws_url) as socket:
            heard = _Listener(socket)
            await heard.subscribe("account", "accountSubscribe", names["bob"], {"encoding": "base64", **view})
            await heard.subscribe("unchanged", "accountSubscribe", names["mint"], {"encoding": "base64", **view})
            parsed = {"encoding": "jsonParsed", **view}
            await heard.subscribe("token", "accountSubscribe", names["nos:alice"], parsed)
            sliced = {"encoding": "base64", "dataSlice": {"offset": 0, "length": 4}, **view}
            await heard.subscribe("sliced", "accountSubscribe", names["nos:bob"], sliced)
            await heard.subscribe("too big for base58", "accountSubscribe", names["nos:alice"], view)
            await heard.subscribe("closed", "accountSubscribe", names["wrapped"], parsed)
            owned = [{"dataSize": 165}, {"memcmp": {"offset": 32, "bytes": names["alice"]}}]
            await heard.subscribe("program", "programSubscribe", TOKEN, {"filters": owned, **parsed})
            of_market = [{"memcmp": {"offset": 0, "bytes": market}}]
            await heard.subscribe("other program", "programSubscribe", jobs, {"filters": of_market, **parsed})
            await heard.subscribe("logs", "logsSubscribe", {"mentions": [names["carol"]]}, view)
            async with asyncio.TaskGroup() as group:
                signature = await _sign(remote, heard, view)
                group.create_task(heard.listen())
                names |= await _events(remote, level, signature)
                await asyncio.sleep(_QUIET)
                await socket.close()
        told |= {f"told {level} {name}": _once(results) for name, results in heard.told.items()}
    told |= {f"told {name}": results for name, results in (await _progress(remote)).items()}
    known = Masks(names)
    return {name: known.apply(results) for name, results in told.items()}


async def _sign(remote: Remote, heard: _Listener, view: dict[str, str]) -> Any:
    """A signed transaction whose signature is subscribed to before it is sent."""
    transaction = await remote.sign([pay(ALICE, CAROL.pubkey(), 4_321), memo("told", ALICE)], ALICE)
    signature = str(transaction.signatures[0])
    await heard.subscribe("signature", "signatureSubscribe", signature, view)
    received = {"enableReceivedNotification": True, **view}
    await heard.subscribe("received", "signatureSubscribe", signature, received)
    return transaction


async def _events(remote: Remote, level: str, first: Any) -> dict[str, str]:
    """Transactions one after the other, all final when it returns; their signatures by name."""
    nos, names = remote.chain.mint, {}
    alice, bob = (token.get_associated_token_address(who.pubkey(), Pubkey.from_string(nos)) for who in (ALICE, BOB))
    wrapped = token.get_associated_token_address(ALICE.pubkey(), NATIVE)
    moved = models.TransferCheckedParams(
        program_id=TOKEN_PROGRAM,
        source=alice,
        mint=Pubkey.from_string(nos),
        dest=bob,
        owner=ALICE.pubkey(),
        amount=1_000,
        decimals=6,
    )
    closed = models.CloseAccountParams(
        program_id=TOKEN_PROGRAM, account=wrapped, dest=ALICE.pubkey(), owner=ALICE.pubkey()
    )
    opened = token.create_idempotent_associated_token_account(ALICE.pubkey(), ALICE.pubkey(), NATIVE)
    steps: list[tuple[str, list[Instruction], tuple[Keypair, ...]]] = [
        ("pays", [pay(ALICE, BOB.pubkey(), 99)], (ALICE,)),
        ("pays twice", [pay(ALICE, BOB.pubkey(), 1), pay(ALICE, BOB.pubkey(), 2)], (ALICE,)),
        ("fails", [pay(CAROL, BOB.pubkey(), 10**15)], (CAROL,)),
        ("moves", [token.transfer_checked(moved)], (ALICE,)),
        ("closes", [token.close_account(closed)], (ALICE,)),
        ("opens", [opened], (ALICE,)),
    ]
    signature = names[f"{level}:first"] = await remote.land(first)
    for name, instructions, signers in steps:
        signature = names[f"{level}:{name}"] = await remote.land(await remote.sign(instructions, *signers))
    row = (await remote.call("getSignatureStatuses", [signature]))["value"][0]
    await remote.final(row["slot"] + 1)
    return names


async def _progress(remote: Remote) -> dict[str, list[Any]]:
    """Slots and roots: what each says, and whether they go on."""
    async with connect(remote.chain.ws_url) as socket:
        heard = _Listener(socket)
        await heard.subscribe("slots", "slotSubscribe")
        await heard.subscribe("roots", "rootSubscribe")
        await heard.subscribe("updates", "slotsUpdatesSubscribe")
        async with asyncio.TaskGroup() as group:
            group.create_task(heard.listen())
            async with asyncio.timeout(_WAIT):
                while len(heard.told["slots"]) < 5 or len(heard.told["roots"]) < 5 or len(heard.told["updates"]) < 40:
                    await asyncio.sleep(0.05)
            await socket.close()
    slots, roots = heard.told["slots"], heard.told["roots"]
    kinds = sorted({(update["type"], *sorted(update)) for update in heard.told["updates"]})
    return {
        "slots": [sorted(slots[0]), _rising([slot["slot"] for slot in slots]), all(_in_order(slot) for slot in slots)],
        "roots": [sorted({type(root).__name__ for root in roots})],
        "updates": kinds,
    }


def _once(results: list[Any]) -> list[Any]:
    """Without what was told again: a real node may tell of a transaction for two of its slots, before one is kept."""
    values = [result["value"] for result in results]
    return [result for index, result in enumerate(results) if values[index] not in values[:index]]


def _rising(numbers: list[int]) -> bool:
    return all(one < other for one, other in itertools.pairwise(numbers))


def _in_order(slot: dict[str, int]) -> bool:
    return slot["root"] < slot["parent"] < slot["slot"]
