"""Where commands find their key: the file named, else the lane's of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import UsageError

if TYPE_CHECKING:
    from node.chain.keyfile import KeyFile
    from node.chain.passphrase import PassphraseSource
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
    """The wallet a command works with, opened; a passphrase is asked for where nothing else has it.

    Raises UsageError or WalletError.
    """
    from node.chain.wallet import Wallet

    return Wallet.load(wallet_path(settings, wallet, lane), passphrase_source(settings, wallet, lane))


def read_wallet(settings: Settings | None, wallet: Path | None, lane: str | None) -> KeyFile:
    """The key file a command works with, not opened. Raises UsageError or WalletError."""
    from node.chain import keyfile

    return keyfile.read(wallet_path(settings, wallet, lane))


def passphrase_source(settings: Settings | None, wallet: Path | None, lane: str | None) -> PassphraseSource:
    """Where the passphrase comes from: for a lane's key from where its agent has it, for others from a person."""
    from node.chain.passphrase import PassphraseSource
    from node.cli import place

    if wallet is not None or settings is None:
        return PassphraseSource()
    own = place.lane_of(settings, lane)
    return PassphraseSource(own.name, own.passphrase_file)
