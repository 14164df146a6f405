"""What commands ask of a localnet that runs in another process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from node.errors import LocalnetError, RpcRejected, RpcUnavailable
from node.loopback import DIRECT
from node.records import Address

_TIMEOUT = 10.0
_LONG_TIMEOUT = 120.0
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


async def ask(url: str, method: str, params: Sequence[Any]) -> dict[str, Any]:
    """The result of one of the localnet's own calls at `url`.

    Raises RpcUnavailable where nothing answers, and RpcRejected where the answer is an error.
    """
    async with httpx.AsyncClient(timeout=_LONG_TIMEOUT, mounts=DIRECT) as client:
        answer: dict[str, Any] = await _call(client, url, method, params)
    return answer


async def fetch_snapshot(url: str, path: Path) -> int:
    """Save the chain at `url` to a file with mode 0600; its size in bytes.

    Raises RpcUnavailable where nothing answers, and LocalnetError where what answers gives no snapshot or the file
    cannot be written.
    """
    async with httpx.AsyncClient(timeout=_LONG_TIMEOUT, mounts=DIRECT) as client:
        response = await _snapshot(client, url, "GET")
    part = path.with_name(f".{path.name}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(response.content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise LocalnetError(
            f"{path} cannot be written: {error.strerror or error}", hint="Choose a file in a folder you may write to."
        ) from None
    return len(response.content)


async def put_snapshot(url: str, path: Path) -> dict[str, Any]:
    """Make the chain at `url` the one of the file; `slot` and `blockHeight` of its newest block.

    Raises LocalnetError where the file cannot be read or the chain refuses it, RpcUnavailable where nothing answers.
    """
    body = _read(path)
    async with httpx.AsyncClient(timeout=_LONG_TIMEOUT, mounts=DIRECT) as client:
        response = await _snapshot(client, url, "PUT", body)
    head: dict[str, Any] = response.json()
    return head


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LocalnetError(
            f"{path} cannot be read: {error.strerror or error}",
            hint="Name a file that `gpunode localnet snapshot` wrote.",
        ) from None


async def _snapshot(client: httpx.AsyncClient, url: str, method: str, body: bytes | None = None) -> httpx.Response:
    try:
        response = await client.request(method, f"{url.rstrip('/')}/snapshot", content=body)
        if response.is_success:
            return response
        refused = response.json()["error"]
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise _silent(url, error) from None
    except (ValueError, KeyError, TypeError):
        raise LocalnetError(
            f"what answers at {url} gives no snapshots (HTTP {response.status_code})",
            hint="The chain there is no localnet, or it runs on another machine.",
        ) from None
    raise LocalnetError(str(refused.get("message")), hint=str(refused.get("hint") or ""))


def _silent(url: str, error: Exception) -> RpcUnavailable:
    return RpcUnavailable(
        f"no localnet answers at {url}: {type(error).__name__}",
        hint="Start one with `gpunode localnet start`, or name its address with --rpc.",
    )


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
        raise _silent(url, error) from None
    if not isinstance(answer, dict) or not isinstance(answer.get("error", {}), dict):
        raise RpcUnavailable(f"what answers at {url} is no Solana RPC node", hint="Name a localnet with --rpc.")
    refused = answer.get("error")
    if refused is not None:
        code = int(refused.get("code", 0))
        told = refused.get("data")
        hint = str(told.get("hint") or "") if isinstance(told, dict) else ""
        if code == -32601:
            hint = "The chain there is no localnet, or it runs on another machine."
        data = refused.get("data")
        if isinstance(data, dict) and isinstance(data.get("hint"), str):
            hint = data["hint"]
        raise RpcRejected(str(refused.get("message")), code=code, data=refused.get("data"), hint=hint)
    return answer.get("result")
