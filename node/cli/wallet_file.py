"""Where commands find their key: the file named, else the lane's of the settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import UsageError

if TYPE_CHECKING:
    from node.chain.keyfile import KeyFile
    from node.chain.passphrase import PassphraseSource
    from node.chain.seedfile import SeedFile
    from node.chain.wallet import Wallet
    from node.settings import Settings


def wallet_path(settings: Settings | None, wallet: Path | None, lane: str | None) -> tuple[Path, int | None]:
    """The key file a command works with, and the account where it is a seed's. Raises UsageError where nothing says
    which."""
    from node.cli import place

    if wallet is not None:
        return wallet.expanduser(), None
    if settings is None:
        raise UsageError("which wallet?", hint="name its key file with --wallet, or write settings with `gpunode init`")
    return place.lane_of(settings, lane).key


def load_wallet(settings: Settings | None, wallet: Path | None, lane: str | None) -> Wallet:
    """The wallet a command works with, opened; a passphrase is asked for where nothing else has it.

    Raises UsageError or WalletError.
    """
    from node.chain.wallet import Wallet

    path, account = wallet_path(settings, wallet, lane)
    return Wallet.load(path, passphrase_source(settings, wallet, lane), account)


def read_wallet(settings: Settings | None, wallet: Path | None, lane: str | None) -> KeyFile:
    """The key file a command works with, not opened. Raises UsageError or WalletError."""
    from node.chain import keyfile

    return keyfile.read(*wallet_path(settings, wallet, lane))


def read_secret(settings: Settings | None, wallet: Path | None, lane: str | None) -> KeyFile | SeedFile:
    """As `read_wallet`, and of a seed's file the seed as a whole. Raises UsageError or WalletError."""
    from node.chain import keyfile

    path, account = wallet_path(settings, wallet, lane)
    seed = keyfile.read_seed(path)
    return keyfile.read(path, account) if seed is None else seed


def passphrase_source(settings: Settings | None, wallet: Path | None, lane: str | None) -> PassphraseSource:
    """Where the passphrase comes from: for a lane's key from where its agent has it, for others from a person."""
    from node.chain.passphrase import PassphraseSource
    from node.cli import place

    if wallet is not None or settings is None:
        return PassphraseSource()
    own = place.lane_of(settings, lane)
    return PassphraseSource(own.name, own.passphrase_file)
