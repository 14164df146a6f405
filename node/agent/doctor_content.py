"""The doctor's rows on where results go and definitions come from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import httpx

from node.agent.finding import Finding
from node.agent.looks import Look
from node.chain.transport import shown
from node.content.http import bearer
from node.content.library import read_token
from node.errors import GpunodeError
from node.loopback import DIRECT
from node.settings import Settings, StoreSettings

REACH_TIMEOUT = 10.0


def content_looks(settings: Settings) -> tuple[Look, ...]:
    """One look per store and gateway."""
    if not settings.content.stores:
        stores: tuple[Look, ...] = (Look("content store", _none),)
    else:
        stores = tuple(Look(_name(store), partial(_store, store)) for store in settings.content.stores)
    gateways = (
        Look(f"gateway {shown(url)}", partial(_reach, f"gateway {shown(url)}", "GET", url))
        for url in settings.content.gateways
    )
    return (*stores, *gateways)


async def _none() -> Finding:
    return Finding("content store", False, "none is set", "name one in content.stores")


def _name(store: StoreSettings) -> str:
    return f"content store {shown(store.url)}"


async def _store(store: StoreSettings) -> Finding:
    name = _name(store)
    base = store.url.rstrip("/")
    try:
        token = bearer(read_token(store.jwt_file))
    except GpunodeError as error:
        return Finding(name, False, error.message, error.hint)
    if store.kind == "pinata":
        return await _reach(name, "GET", f"{base}/data/testAuthentication", token)
    return await _reach(name, "POST", f"{base}/api/v0/version", token)


async def _reach(name: str, method: str, address: str, headers: Mapping[str, str] | None = None) -> Finding:
    """Whether something useful answers: any answer but a server's failure, since a gateway's root may be empty."""
    fix = "start it, or correct `content` in the settings"
    try:
        async with (
            httpx.AsyncClient(timeout=REACH_TIMEOUT, mounts=DIRECT) as client,
            client.stream(method, address, headers=headers) as response,
        ):
            # Only the status counts; the body may be of any size.
            pass
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Finding(name, False, f"does not answer: {str(error) or type(error).__name__}", fix)
    if headers is not None and response.status_code in (401, 403):
        return Finding(name, False, f"refuses the token (HTTP {response.status_code})", "correct its jwt_file")
    # A Kubo node answers POST only with success; another server's "not found" is no Kubo node.
    if response.status_code >= 500 or (method == "POST" and not response.is_success):
        return Finding(name, False, f"answers HTTP {response.status_code}", fix)
    return Finding(name, True, "answers")
