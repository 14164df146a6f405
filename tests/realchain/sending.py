"""Sends transactions to a real node with nothing of the product in between, and waits until they are confirmed."""

from __future__ import annotations

import asyncio
import base64
import itertools
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import Message
from solders.transaction import Transaction

from node.loopback import DIRECT

_LANDING = 60.0
_AGAIN = 2.0
"""Seconds after which the same bytes are sent again."""


_PER_REQUEST = 25
"""Transactions in one request: nodes take 50 KiB at most."""


class NotLanded(Exception):
    """A transaction was refused, failed or was never seen."""


class Sender:
    """JSON-RPC calls as bare as they come."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = url
        self._client = client
        self._ids = itertools.count(1)

    @staticmethod
    @asynccontextmanager
    async def open(url: str) -> AsyncIterator[Sender]:
        """A sender to this node, with connections of its own."""
        async with httpx.AsyncClient(mounts=DIRECT, timeout=30) as client:
            yield Sender(url, client)

    async def ask(self, method: str, *params: Any) -> Any:
        """One call's result. Raises NotLanded with the node's error."""
        (answer,) = await self.batch([(method, list(params))])
        if "error" in answer:
            raise NotLanded(f"{method}: {answer['error']}")
        return answer["result"]

    async def batch(self, calls: Sequence[tuple[str, list[Any]]]) -> list[dict[str, Any]]:
        """The answers to several calls in one request, in the order of the calls."""
        body = [
            {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params} for method, params in calls
        ]
        answers = (await self._client.post(self._url, json=body)).json()
        by_id = {answer["id"]: answer for answer in answers}
        return [by_id[entry["id"]] for entry in body]

    async def blockhash(self) -> Hash:
        """The newest one that is confirmed."""
        found = await self.ask("getLatestBlockhash", {"commitment": "confirmed"})
        return Hash.from_string(found["value"]["blockhash"])

    async def send(self, instructions: Sequence[Instruction], payer: Keypair, *signers: Keypair) -> str:
        """Sign, send and wait until it is confirmed; the signature. Raises NotLanded where it fails."""
        blockhash = await self.blockhash()
        message = Message.new_with_blockhash(list(instructions), payer.pubkey(), blockhash)
        unique = list({key.pubkey(): key for key in (payer, *signers)}.values())
        signed = Transaction(unique, message, blockhash)
        signature = str(signed.signatures[0])
        error = (await self.land({signature: bytes(signed)}))[signature]
        if error is not None:
            raise NotLanded(f"{signature} failed: {error}")
        return signature

    async def land(self, transactions: dict[str, bytes]) -> dict[str, Any]:
        """Send signed transactions (by signature) and wait until all are confirmed: the error of each, or None.

        Nothing is simulated before, so one that fails lands too. Raises NotLanded after a minute.
        """
        errors: dict[str, Any] = {}
        try:
            async with asyncio.timeout(_LANDING):
                while missing := [signature for signature in transactions if signature not in errors]:
                    await self._put([transactions[signature] for signature in missing])
                    errors |= await self._seen(missing)
        except TimeoutError:
            gone = [signature for signature in transactions if signature not in errors]
            raise NotLanded(f"not seen within {_LANDING:.0f} s: {gone[:5]} ({len(gone)} in all)") from None
        return errors

    async def _put(self, transactions: Sequence[bytes]) -> None:
        options = {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
        for part in _parts(transactions, _PER_REQUEST):
            calls = [("sendTransaction", [base64.b64encode(raw).decode(), options]) for raw in part]
            for answer in await self.batch(calls):
                if "error" in answer and "AlreadyProcessed" not in str(answer["error"]):
                    raise NotLanded(f"sendTransaction: {answer['error']}")

    async def _seen(self, signatures: Sequence[str]) -> dict[str, Any]:
        """Errors of those that are confirmed; returns when all are, or it is time to send again."""
        found: dict[str, Any] = {}
        until = time.monotonic() + _AGAIN
        while len(found) < len(signatures) and time.monotonic() < until:
            await asyncio.sleep(0.02)
            missing = [signature for signature in signatures if signature not in found]
            for part in _parts(missing, 256):
                rows = (await self.ask("getSignatureStatuses", list(part)))["value"]
                for signature, row in zip(part, rows, strict=True):
                    if row is not None and row["confirmationStatus"] != "processed":
                        found[signature] = row["err"]
        return found


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
