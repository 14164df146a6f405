"""Where the passphrase of an encrypted key comes from: a systemd credential, a private file, or a person at a terminal.

Never an argument, and never the environment: other processes see the first, and every child inherits the second.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from node.chain.keyfile import nobody_to_ask
from node.chain.sealed import MAX_PASSPHRASE
from node.errors import WalletError
from node.private_file import read_private
from node.records import Address

CREDENTIAL = "gpunode-passphrase"
"""Name of the systemd credential; with `.LANE` behind it, of one lane's alone."""
_OWN_MODES = frozenset({0o600, 0o400})
_CREDENTIAL_MODES = frozenset({0o600, 0o400, 0o440})
"""systemd gives a service its credentials by owner or by an access list, which shows as group rights."""
_LIMIT = 4 * MAX_PASSPHRASE + 2


def on_terminal(prompt: str) -> str | None:
    """What a person types, unseen; None where there is no terminal to ask on."""
    if not sys.stdin.isatty():
        return None
    try:
        return getpass.getpass(prompt)
    except (EOFError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class PassphraseSource:
    """Asks the places in turn; the first that has a passphrase is believed."""

    lane: str | None = None
    file: Path | None = None
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ, repr=False)
    terminal: Callable[[str], str | None] = on_terminal

    @property
    def place(self) -> Path | None:
        """The file that holds it, without looking into it; None where only a person can say it."""
        for credential in self._credentials():
            if credential.exists():
                return credential
        return self.file

    def __call__(self, address: Address) -> str:
        """The passphrase of the key with this address. Raises WalletError where there is none to be had."""
        place = self.place
        if place is not None:
            modes = _OWN_MODES if place == self.file else _CREDENTIAL_MODES
            return read_passphrase(place, modes)
        typed = self.terminal(f"Passphrase of {address}: ")
        return nobody_to_ask(address) if typed is None else typed

    def _credentials(self) -> tuple[Path, ...]:
        folder = self.environment.get("CREDENTIALS_DIRECTORY")
        if not folder:
            return ()
        own = () if self.lane is None else (Path(folder) / f"{CREDENTIAL}.{self.lane}",)
        return (*own, Path(folder) / CREDENTIAL)


def read_passphrase(path: Path, modes: frozenset[int] = _OWN_MODES) -> str:
    """The passphrase in a private file, without the line's end. Raises WalletError."""
    raw = read_private(path.expanduser(), limit=_LIMIT, modes=modes, what="passphrase file")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = ""
    text = text.removesuffix("\n").removesuffix("\r")
    if not text or len(text) > MAX_PASSPHRASE or "\n" in text:
        # Without the content, and without an error that holds it.
        raise WalletError(f"{path} does not hold a passphrase", hint="It must hold one line of text and nothing else.")
    return text


def secrecy(encrypted: bool, source: PassphraseSource) -> str:
    """How a key file is kept, for people."""
    if not encrypted:
        return "not encrypted"
    place = source.place
    return "encrypted, its passphrase is typed at each start" if place is None else f"encrypted, passphrase in {place}"
