"""A plain JSON-RPC client for these tests, and the transactions they send."""

from __future__ import annotations

import base64
from typing import Any

import httpx
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from node.localnet.app import Localnet

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
PROCESSED = {"commitment": "processed"}
CONFIRMED = {"commitment": "confirmed"}
FINALIZED = {"commitment": "finalized"}


class RpcClient:
    """Sends requests to one chain."""

    def __init__(self, net: Localnet, http: httpx.AsyncClient) -> None:
        self.net = net
        self._http = http

    async def raw(self, body: Any) -> Any:
        """The answer to a request or batch as it is."""
        response = await self._http.post(self.net.rpc_url, json=body)
        assert response.status_code == 200
        return response.json()

    async def call(self, method: str, *params: Any) -> Any:
        """The result of a call that must succeed."""
        answer = await self.raw({"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})
        assert "error" not in answer, answer
        return answer["result"]

    async def fail(self, method: str, *params: Any) -> dict[str, Any]:
        """The error of a call that must fail."""
        answer = await self.raw({"jsonrpc": "2.0", "id": 7, "method": method, "params": list(params)})
        assert "error" in answer, answer
        error: dict[str, Any] = answer["error"]
        return error

    async def blockhash(self, commitment: dict[str, str] = PROCESSED) -> Hash:
        """The newest blockhash of a view."""
        found = await self.call("getLatestBlockhash", commitment)
        return Hash.from_string(found["value"]["blockhash"])

    async def send(self, transaction: VersionedTransaction, **config: Any) -> str:
        """Send a transaction that must be taken; preflight at processed unless told."""
        options = {"encoding": "base64", "preflightCommitment": "processed", **config}
        signature: str = await self.call("sendTransaction", wire(transaction), options)
        return signature


def wire(transaction: VersionedTransaction) -> str:
    """The transaction in base64."""
    return base64.b64encode(bytes(transaction)).decode()


def wallet(net: Localnet, sol: float = 1) -> Keypair:
    """A fresh funded key."""
    key = Keypair()
    net.fund(address(key), sol=sol)
    return key


def address(key: Keypair) -> Any:
    """A key's address."""
    return str(key.pubkey())


def pay(payer: Keypair, to: Pubkey, lamports: int, blockhash: Hash) -> VersionedTransaction:
    """A transfer of lamports, version 0."""
    params = TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=lamports)
    return signed([transfer(params)], payer, blockhash)


def signed(instructions: list[Instruction], payer: Keypair, blockhash: Hash, *more: Keypair) -> VersionedTransaction:
    """A version 0 transaction."""
    return VersionedTransaction(MessageV0.try_compile(payer.pubkey(), instructions, [], blockhash), [payer, *more])


def legacy(instructions: list[Instruction], payer: Keypair, blockhash: Hash) -> VersionedTransaction:
    """A legacy transaction."""
    message = Message.new_with_blockhash(instructions, payer.pubkey(), blockhash)
    return VersionedTransaction(message, [payer])


def memo(text: str, signer: Keypair) -> Instruction:
    """A memo."""
    return Instruction(MEMO, text.encode(), [AccountMeta(signer.pubkey(), is_signer=True, is_writable=False)])
