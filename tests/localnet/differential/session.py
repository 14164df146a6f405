"""One chain's answers to everything: its history is made, then it is asked."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from tests.localnet.differential.corpus import PROGRAMS, SYSVARS, requests
from tests.localnet.differential.masks import Masks
from tests.localnet.differential.remote import Chain, Remote
from tests.localnet.differential.wires import make_wires
from tests.localnet.differential.world import Builder

_AT_ONCE = 8
_URGENT = re.compile("Transaction|Status|Fee")


async def answers(chain: Chain) -> dict[str, Any]:
    """The masked answer to each request by its name."""
    async with Remote.open(chain) as remote:
        world = await Builder(remote).build()
        await make_wires(remote, world)
        masks = Masks(world.names, await _rents(remote))
        gate = asyncio.Semaphore(_AT_ONCE)
        found: dict[str, Any] = {}

        async def one(name: str, method: str, params: Any) -> None:
            async with gate:
                found[name] = masks.apply(await remote.ask(method, params))

        async with asyncio.TaskGroup() as group:
            # What hangs on a blockhash comes first, before that is too old.
            for ask in sorted(requests(chain, world), key=lambda ask: not _URGENT.search(ask.method)):
                group.create_task(one(ask.name, ask.method, ask.params))
        return found


async def _rents(remote: Remote) -> set[int]:
    """Lamports of the accounts of programs and sysvars: what keeps their code, whose builds differ."""
    found = await remote.call("getMultipleAccounts", [*PROGRAMS.values(), *SYSVARS.values()], {"encoding": "base64"})
    return {account["lamports"] for account in found["value"] if account is not None}
