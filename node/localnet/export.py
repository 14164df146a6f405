"""The chain as `solana-test-validator` (release 3.1.8) takes it: programs, accounts, keys, and the command line.

The folder holds `programs/ADDRESS.so`, `accounts/ADDRESS.json` (the form `solana account --output json` writes),
`keys/NAME.json`, and `start.sh`, which runs the command line with whatever options are added to it. The validator
makes a genesis of these: slots, blockhashes and transactions begin anew, and its clock is the machine's. The
faucet's SOL is the genesis mint's (500,000,000 SOL), so that its key pays there as it does here.
"""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from node.errors import LocalnetError
from node.localnet.account_files import account_json
from node.localnet.bank import Bank
from node.localnet.keys import Keys, write_keys
from node.localnet.loaders import NOBODY, UPGRADEABLE_LOADER

if TYPE_CHECKING:
    from node.localnet.app import Localnet

VALIDATOR = "solana-test-validator"
_PARTS = ("programs", "accounts")


def export_chain(net: Localnet, folder: Path) -> list[str]:
    """Write a running chain; see `export_bank`."""
    return export_bank(net.validator.bank, net.keys, folder)


def export_bank(bank: Bank, keys: Keys, folder: Path) -> list[str]:
    """Write programs, accounts and keys below `folder`; the command line that starts a validator on them.

    The folder is made where it is missing; an earlier export in it is replaced. Paths in the command line are
    absolute. Ports, ledger and slot length are the caller's to add. Raises LocalnetError where the folder cannot
    be written, or holds other keys than the chain's.
    """
    place = folder.expanduser().absolute()
    _require_free(place)
    try:
        for part in _PARTS:
            shutil.rmtree(place / part, ignore_errors=True)
            (place / part).mkdir(parents=True)
        mint = keys["faucet"].pubkey()
        line = [VALIDATOR, "--reset", "--mint", str(mint), "--account-dir", str(place / "accounts")]
        for key, account in bank.dump():
            if key != mint and account.owner != UPGRADEABLE_LOADER:
                text = json.dumps(account_json(key, account), indent=1)
                (place / "accounts" / f"{key}.json").write_text(text)
        for program in bank.programs():
            path = place / "programs" / f"{program.address}.so"
            path.write_bytes(program.code)
            if program.authority == NOBODY:
                line += ["--bpf-program", str(program.address), str(path)]
            else:
                line += ["--upgradeable-program", str(program.address), str(path), str(program.authority or "none")]
        script = place / "start.sh"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(line)} "$@"\n')
        script.chmod(0o755)
    except OSError as error:
        raise LocalnetError(
            f"the chain cannot be written to {place}: {error.strerror or error}",
            hint="Choose a folder you may write to.",
        ) from None
    write_keys(place / "keys", keys)
    return line


def _require_free(place: Path) -> None:
    """See that nothing but an earlier export would be written over."""
    if place.is_dir() and any(place.iterdir()) and not (place / "start.sh").exists():
        raise LocalnetError(
            f"{place} is not empty, and no export of a chain", hint="Choose a folder that is empty, or a new one."
        )
