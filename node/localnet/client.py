"""What commands ask of a localnet that runs in another process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

from node.errors import LocalnetError, RpcRejected, RpcUnavailable
from node.loopback import DIRECT
from node.records import Address

_TIMEOUT = 10.0
_CONFIRM_SECONDS = 30.0
_POLL_SECONDS = 0.1


async def ask_faucet(url: str, address: Address, *, lamports: int, nos: int) -> dict[str, Any]:
    """Lamports and micro-NOS from the faucet of the chain at `url`, confirmed; the answer of localnet_faucet.

    Raises RpcUnavailable where nothing answers, RpcRejected where the answer is an error (also from a cluster
    that is no localnet), LocalnetError where the gift is not confirmed in 30 s.
    """
    async with httpx.AsyncClient(timeout=_TIMEOUT, mounts=DIRECT) as client:
        gift: dict[str, Any] = await _call(
            client, url, "localnet_faucet", [address, {"lamports": lamports, "nos": nos}]
        )
        await _confirmed(client, url, gift["signature"])
    return gift


async def ask_info(url: str) -> dict[str, Any]:
    """What the localnet at `url` says of itself: `market`, `ids`, `content_url` and more (see `Localnet.describe`).

    Raises RpcUnavailable where nothing answers, and RpcRejected where what answers is no localnet.
    """
    async with httpx.AsyncClient(timeout=_TIMEOUT, mounts=DIRECT) as client:
        info = await _call(client, url, "localnet_info", [])
    if not isinstance(info, dict):
        raise RpcUnavailable(f"what answers at {url} is no localnet", hint="Name a localnet with --rpc.")
    return info


async def _confirmed(client: httpx.AsyncClient, url: str, signature: str) -> None:
    try:
        async with asyncio.timeout(_CONFIRM_SECONDS):
            while True:
                answer = await _call(client, url, "getSignatureStatuses", [[signature]])
                status = answer["value"][0]
                if status is not None and status["confirmationStatus"] != "processed":
                    return
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise LocalnetError(
            f"the faucet's transaction {signature} was not confirmed in {_CONFIRM_SECONDS:.0f} s",
            hint="Slots do not pass on that chain; look at its log.",
        ) from None


async def _call(client: httpx.AsyncClient, url: str, method: str, params: Sequence[Any]) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
    try:
        response = await client.post(url, json=request)
        answer = response.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise RpcUnavailable(
            f"no localnet answers at {url}: {type(error).__name__}",
            hint="Start one with `gpunode localnet start`, or name its address with --rpc.",
        ) from None
    if not isinstance(answer, dict) or not isinstance(answer.get("error", {}), dict):
        raise RpcUnavailable(f"what answers at {url} is no Solana RPC node", hint="Name a localnet with --rpc.")
    refused = answer.get("error")
    if refused is not None:
        code = int(refused.get("code", 0))
        hint = "The chain there is no localnet, or it runs on another machine." if code == -32601 else ""
        raise RpcRejected(str(refused.get("message")), code=code, data=refused.get("data"), hint=hint)
    return answer.get("result")
