"""`gpunode wallet encrypt`, `decrypt` and `change-passphrase`: how the key lies in its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli import output
from node.cli.options import JsonOption, LaneOption, SettingsOption, WalletOption

if TYPE_CHECKING:
    from node.chain.derivation import Seed
    from node.chain.keyfile import Asks, KeyFile
    from node.chain.secret import SecretKey
    from node.chain.seedfile import SeedFile

NewPassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file", metavar="FILE", help="Take the passphrase from a file of mode 0600.", show_default=False
    ),
]
_OldPassphraseOption = Annotated[
    Path | None,
    typer.Option(
        "--old-passphrase-file",
        metavar="FILE",
        help="Take the present passphrase from a file of mode 0600.",
        show_default=False,
    ),
]
_UNPROMISED = "what disks, snapshots and backups kept of the old file is still there"


def encrypt(
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    passphrase_file: NewPassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Encrypt a key file, or a seed's, with a passphrase, in place.

    JSON: `wallet` (file), `address`, `encrypted`.
    """
    from node.chain.keyfile import nobody_to_ask
    from node.cli import place
    from node.cli.wallet_file import read_secret
    from node.errors import UsageError

    file = read_secret(place.load_if_any(settings), wallet, lane)
    if file.encrypted:
        raise UsageError(
            f"{file.path} is encrypted already", hint="another passphrase: gpunode wallet change-passphrase"
        )
    _rewrite(file, nobody_to_ask, new_passphrase(passphrase_file))
    _done(file.path, file.address, True, as_json)


def decrypt(
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    old_passphrase_file: _OldPassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a key back into its file in clear (Solana id.json format), in place.

    JSON: `wallet` (file), `address`, `encrypted`.
    """
    file, ask = _encrypted(settings, wallet, lane, old_passphrase_file)
    _rewrite(file, ask, None)
    _done(file.path, file.address, False, as_json)


def change_passphrase(
    settings: SettingsOption = None,
    wallet: WalletOption = None,
    lane: LaneOption = None,
    old_passphrase_file: _OldPassphraseOption = None,
    passphrase_file: NewPassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Encrypt a key file with another passphrase, in place.

    JSON: `wallet` (file), `address`, `encrypted`.
    """
    file, ask = _encrypted(settings, wallet, lane, old_passphrase_file)
    key = file.open(ask)
    _put(file.path, key, new_passphrase(passphrase_file))
    _done(file.path, file.address, True, as_json)


def new_passphrase(file: Path | None) -> str:
    """The passphrase a key is to have: from a file, or typed twice. Raises UsageError, WalletError."""
    from node.chain.passphrase import on_terminal, read_passphrase
    from node.chain.sealed import require_good
    from node.errors import UsageError

    if file is not None:
        return read_passphrase(file)
    first = on_terminal("New passphrase: ")
    if first is None:
        raise UsageError("there is no terminal to type a passphrase on", hint="name a file: --passphrase-file FILE")
    require_good(first)
    if on_terminal("The same again: ") != first:
        raise UsageError("the two passphrases are not the same", hint="nothing was changed; try again")
    return first


def _encrypted(
    settings: Path | None, wallet: Path | None, lane: str | None, old: Path | None
) -> tuple[KeyFile | SeedFile, Asks]:
    from node.chain.passphrase import PassphraseSource
    from node.cli import place
    from node.cli.wallet_file import passphrase_source, read_secret
    from node.errors import UsageError

    loaded = place.load_if_any(settings)
    file = read_secret(loaded, wallet, lane)
    if not file.encrypted:
        raise UsageError(f"{file.path} is not encrypted", hint="encrypt it: gpunode wallet encrypt")
    ask = passphrase_source(loaded, wallet, lane) if old is None else PassphraseSource(file=old, environment={})
    return file, ask


def _rewrite(file: KeyFile | SeedFile, ask: Asks, passphrase: str | None) -> None:
    _put(file.path, file.open(ask), passphrase)


def _put(path: Path, secret: SecretKey | Seed, passphrase: str | None) -> None:
    from node.chain import keyfile, seedfile
    from node.chain.secret import SecretKey

    if isinstance(secret, SecretKey):
        keyfile.rewrite(path, secret, passphrase)
    else:
        seedfile.rewrite(path, secret, passphrase, keyfile.SCRYPT_N)


def _done(path: Path, address: str, encrypted: bool, as_json: bool) -> None:
    said = "is encrypted now" if encrypted else "is in clear now"
    known = {"wallet": str(path), "address": address, "encrypted": encrypted}
    output.emit(known, as_json, lambda: output.line(f"{path} {said} ({address}); {_UNPROMISED}"))
