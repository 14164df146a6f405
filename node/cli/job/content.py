"""Where a poster's definitions go and results come from: --content, else the settings, else a localnet's own store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.errors import UsageError

if TYPE_CHECKING:
    from node.content.library import Library
    from node.settings import ContentSettings, Settings

LOCALNET_CONTENT = "http://127.0.0.1:8901"


def content_settings(
    settings: Settings | None, content: str | None, gateway: str | None, cluster: str
) -> ContentSettings:
    """Stores and gateways. Raises UsageError where nothing names one."""
    from node.settings import ContentSettings, StoreSettings

    if content is None and gateway is None and settings is not None and settings.cluster == cluster:
        return settings.content
    if content is None and gateway is None:
        if cluster != "localnet":
            raise UsageError(
                "where are definitions and results kept?",
                hint="name an IPFS node with --content URL, or a gateway with --gateway URL",
            )
        content = LOCALNET_CONTENT
    for url in (content, gateway):
        if url is not None and not url.startswith(("http://", "https://")):
            raise UsageError(f"{url!r} is not an address", hint="write http://... or https://...")
    stores = (StoreSettings(kind="kubo", url=content),) if content is not None else ()
    gateways = (gateway,) if gateway is not None else ()
    return ContentSettings(stores=stores, gateways=gateways, timeout=15.0)


def library(settings: Settings | None, content: str | None, gateway: str | None, cluster: str) -> Library:
    """An open library; the caller closes it."""
    from node.content.library import open_library

    return open_library(content_settings(settings, content, gateway, cluster), None)
