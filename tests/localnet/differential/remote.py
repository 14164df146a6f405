"""A chain under test, asked with nothing of the product in between."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import httpx
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.transaction import VersionedTransaction

from node.chain.clusters import Cluster
from node.loopback import DIRECT
from node.records import Address

_LANDING = 120.0
"""Seconds within which a transaction must be confirmed."""


class Chain(Protocol):
    """What the embedded chain and the real one have in common."""

    @property
    def rpc_url(self) -> str: ...
    @property
    def ws_url(self) -> str: ...
    @property
    def cluster(self) -> Cluster: ...
    @property
    def keys(self) -> Mapping[str, Keypair]: ...
    @property
    def market(self) -> Address | None: ...
    @property
    def mint(self) -> Address: ...


class Remote:
    """Sends requests to one chain."""

    def __init__(self, chain: Chain, http: httpx.AsyncClient) -> None:
        self.chain = chain
        self._http = http
        self._ids = itertools.count(1)

    @staticmethod
    @asynccontextmanager
    async def open(chain: Chain) -> AsyncIterator[Remote]:
        """A client with connections of its own."""
        async with httpx.AsyncClient(mounts=DIRECT, timeout=60) as http:
            yield Remote(chain, http)

    async def post(self, body: str) -> Any:
        """The answer to a text; None for an empty one."""
        answer = await self._http.post(self.chain.rpc_url, content=body, headers={"content-type": "application/json"})
        if answer.status_code != 200:
            return {"http": answer.status_code}
        return json.loads(answer.text) if answer.text.strip() else None

    async def ask(self, method: str, params: Any) -> Any:
        """The whole answer to a call, but for its id and version; `params` None: without that member."""
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method}
        answer = await self.post(json.dumps(request if params is None else request | {"params": params}))
        assert answer.pop("jsonrpc") == "2.0"
        assert answer.pop("id") == request["id"]
        return answer

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a call that must succeed."""
        answer = await self.ask(method, list(params))
        assert "result" in answer, (method, params, answer)
        return answer["result"]

    async def blockhash(self, commitment: str = "confirmed") -> Hash:
        """The newest blockhash of a view."""
        found = await self.call("getLatestBlockhash", {"commitment": commitment})
        return Hash.from_string(found["value"]["blockhash"])

    async def sign(
        self,
        instructions: Sequence[Instruction],
        *signers: Keypair,
        version: int | None = 0,
        tables: Sequence[AddressLookupTableAccount] = (),
    ) -> VersionedTransaction:
        """A transaction with a confirmed blockhash; the first signer pays. `version` None: legacy."""
        blockhash, payer = await self.blockhash(), signers[0].pubkey()
        message: Message | MessageV0
        if version is None:
            message = Message.new_with_blockhash(list(instructions), payer, blockhash)
        else:
            message = MessageV0.try_compile(payer, list(instructions), list(tables), blockhash)
        return VersionedTransaction(message, list(signers))

    async def land(self, transaction: VersionedTransaction) -> str:
        """Send without preflight and wait until it is confirmed, failed or not; the signature."""
        options = {"encoding": "base64", "skipPreflight": True}
        text, signature = base64.b64encode(bytes(transaction)).decode(), str(transaction.signatures[0])
        async with asyncio.timeout(_LANDING):
            for turn in itertools.count():
                if turn % 40 == 0:
                    await self.call("sendTransaction", text, options)
                row = (await self.call("getSignatureStatuses", [signature]))["value"][0]
                if row is not None and row["confirmationStatus"] != "processed":
                    return signature
                await asyncio.sleep(0.05)
        raise AssertionError

    async def final(self, slot: int) -> None:
        """Wait until the slot is finalized, and the blocks before it with it."""
        async with asyncio.timeout(_LANDING):
            while await self.call("getSlot", {"commitment": "finalized"}) <= slot:
                await asyncio.sleep(0.05)
