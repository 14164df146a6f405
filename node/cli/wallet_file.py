"""Where commands find their key: the file named, else the lane's of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import UsageError

if TYPE_CHECKING:
    from node.chain.wallet import Wallet
    from node.settings import Settings


def wallet_path(settings: Settings | None, wallet: Path | None, lane: str | None) -> Path:
    """The key file a command works with. Raises UsageError where nothing says which."""
    from node.cli import place

    if wallet is not None:
        return wallet.expanduser()
    if settings is None:
        raise UsageError("which wallet?", hint="name its key file with --wallet, or write settings with `gpunode init`")
    return place.lane_of(settings, lane).wallet


def load_wallet(settings: Settings | None, wallet: Path | None, lane: str | None) -> Wallet:
    """The wallet a command works with. Raises UsageError or WalletError."""
    from node.chain.wallet import Wallet

    return Wallet.load(wallet_path(settings, wallet, lane))
