"""One chain's answers to everything: its history is made, then it is asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from node.base58 import b58decode
from tests.localnet.differential.ask import PROGRAMS, SYSVARS, Ask
from tests.localnet.differential.corpus import requests
from tests.localnet.differential.masks import Masks
from tests.localnet.differential.names import World
from tests.localnet.differential.raw import TEXTS
from tests.localnet.differential.remote import Chain, Remote
from tests.localnet.differential.sockets import socket_answers
from tests.localnet.differential.wires import make_wires
from tests.localnet.differential.world import Builder

_AT_ONCE = 8
_URGENT = re.compile("Transaction|Status|Fee|isBlockhash")
"""Methods whose answers hang on a blockhash, and so come first, before that is too old."""
_COUNTS = ("getBlockHeight", "getBlockTime", "getSlot", "getTransactionCount")
_SLOTS = ("getBlocks", "getBlocksWithLimit")


async def answers(chain: Chain, *, ready: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """The masked answer to each request by its name. `ready` is called when the history is made."""
    async with Remote.open(chain) as remote:
        world = await Builder(remote).build()
        await _name_node(remote, world)
        rents = await _rents(remote)
        found = await socket_answers(remote, world, Masks(world.names))
        await make_wires(remote, world)
        ready()
        masks = Masks(world.names, rents)
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(ask: Ask) -> None:
            async with gate:
                found[ask.name] = masks.apply(_counted(ask, _own(ask, await remote.ask(ask.method, ask.params), world)))

        async with asyncio.TaskGroup() as group:
            for ask in sorted(requests(chain, world), key=lambda ask: not _URGENT.search(ask.method)):
                group.create_task(one(ask))
        for name, text in TEXTS.items():
            found[f"text {name}"] = masks.apply(await remote.post(text))
        return found


async def _name_node(remote: Remote, world: World) -> None:
    identity = (await remote.call("getIdentity"))["identity"]
    votes = (await remote.call("getVoteAccounts"))["current"]
    genesis = await remote.call("getGenesisHash")
    world.names |= {"identity": identity, "vote": votes[0]["votePubkey"], "genesis": genesis}


async def _rents(remote: Remote) -> set[int]:
    """Lamports of the accounts of programs and sysvars: what keeps their code, whose builds differ."""
    found = await remote.call("getMultipleAccounts", [*PROGRAMS.values(), *SYSVARS.values()], {"encoding": "base64"})
    return {account["lamports"] for account in found["value"] if account is not None}


def _counted(ask: Ask, answer: dict[str, Any]) -> dict[str, Any]:
    """Answers that are nothing but a slot or a count."""
    result = answer.get("result")
    if ask.method in _COUNTS and isinstance(result, int):
        return {"result": "<number>"}
    if ask.method == "requestAirdrop" and isinstance(result, str):
        return {"result": f"<{len(b58decode(result))} bytes>"}
    if ask.method in _SLOTS and result:
        return {"result": "<slots>"}
    return answer


def _own(ask: Ask, answer: dict[str, Any], world: World) -> dict[str, Any]:
    """A block without the votes of the node that made it."""
    block = answer.get("result")
    if ask.method != "getBlock" or block is None:
        return answer
    ours = {value for name, value in world.names.items() if name.startswith("tx:")}
    if "signatures" in block:
        block["signatures"] = [signature for signature in block["signatures"] if signature in ours]
    if "transactions" in block:
        block["transactions"] = [entry for entry in block["transactions"] if not _is_vote(entry, world)]
    return answer


def _is_vote(entry: dict[str, Any], world: World) -> bool:
    return "Vote111111111111111111111111111111111111111" in " ".join(entry["meta"].get("logMessages", ())) or (
        world.names["vote"] in str(entry["transaction"])
    )
