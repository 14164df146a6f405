"""The keys a chain is born with, by name, and their files (Solana id.json format, mode 0600)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from solders.keypair import Keypair

from node.errors import LocalnetError
from node.localnet.artefacts import market_admin, network_authority

OWN_NAMES = ("faucet", "mint-authority", "market-authority", "market", "poster")
"""faucet: gives SOL; mint-authority: mints NOS; market-authority: owns the market; market: its address;
poster: a funded wallet to post jobs with. Each chain has its own."""
ADMIN_NAMES = ("market-admin", "network-authority")
"""market-admin: may close any market, run and job; network-authority: audits nodes, holds the staking settings.
The programs name these keys, so that they are the same on every localnet."""
KEY_NAMES = OWN_NAMES + ADMIN_NAMES
EMPTY_NAMES = ("faucet", *ADMIN_NAMES)
"""The keys of a chain that begins with programs only."""

Keys = Mapping[str, Keypair]


def admin_keys() -> dict[str, Keypair]:
    """The keys that the programs name."""
    return {"market-admin": market_admin(), "network-authority": network_authority()}


def new_keys() -> dict[str, Keypair]:
    """The admins' keys, and a fresh key for every other name."""
    return {name: Keypair() for name in OWN_NAMES} | admin_keys()


def key_file(folder: Path, name: str) -> Path:
    """Where a key of that name lies."""
    return folder / f"{name}.json"


def read_keys(folder: Path) -> dict[str, Keypair]:
    """The chain's own keys that a folder already holds. Raises LocalnetError for a file that is no key."""
    return _read(folder, OWN_NAMES)


def _read(folder: Path, names: Iterable[str]) -> dict[str, Keypair]:
    found: dict[str, Keypair] = {}
    for name in names:
        path = key_file(folder, name)
        try:
            found[name] = Keypair.from_bytes(bytes(json.loads(path.read_text())))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError) as error:
            raise LocalnetError(
                f"{path} is not a key file: {error}", hint="Remove it, or choose another folder for the keys."
            ) from None
    return found


def write_keys(folder: Path, keys: Keys) -> dict[str, Path]:
    """Write the key files that are missing; the path of each by name.

    Raises LocalnetError where the folder cannot be written, or holds another key under a name.
    """
    present = _read(folder, keys)
    paths: dict[str, Path] = {}
    for name, key in keys.items():
        paths[name] = path = key_file(folder, name)
        if name in present:
            if present[name] != key:
                raise LocalnetError(
                    f"{path} holds another key than the chain's {name}",
                    hint=(
                        "The programs name that key: remove the file, or choose another folder."
                        if name in ADMIN_NAMES
                        else "The saved chain has keys of its own; choose another folder for them."
                    ),
                )
            continue
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w") as file:
                json.dump(list(bytes(key)), file)
        except OSError as error:
            raise LocalnetError(
                f"the key file {path} cannot be written: {error.strerror or error}",
                hint="Choose a folder you may write to.",
            ) from None
    return paths
