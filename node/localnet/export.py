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
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from node.chain.clusters import localnet
from node.errors import LocalnetError
from node.localnet import snapshot as snapshots
from node.localnet.account_files import account_json
from node.localnet.bank import Bank
from node.localnet.birth import create, programs_for, restore
from node.localnet.keys import Keys, write_keys
from node.localnet.loaders import NOBODY, UPGRADEABLE_LOADER
from node.localnet.options import LocalnetOptions

if TYPE_CHECKING:
    from node.localnet.app import Localnet

VALIDATOR = "solana-test-validator"
_PARTS = ("programs", "accounts")


def export_chain(net: Localnet, folder: Path) -> list[str]:
    """Write a running chain; see `export_bank`."""
    return export_bank(net.validator.bank, net.keys, folder)


def export_fresh(options: LocalnetOptions, folder: Path) -> list[str]:
    """Write a chain as it is born with these options; see `export_bank`. Raises LocalnetError as `create` does too."""
    born = create(options, localnet(options.ids), programs_for(options))
    return export_bank(born.validator.bank, born.keys, folder)


def export_snapshot(file: Path, folder: Path) -> list[str]:
    """Write a saved chain; see `export_bank`. Raises LocalnetError for a file that is none too."""
    with tempfile.TemporaryDirectory(prefix="gpunode-content-") as content:
        loaded = snapshots.load(file, Path(content))
    options = LocalnetOptions(ids=loaded.ids)
    born = restore(options, loaded, programs_for(options))
    return export_bank(born.validator.bank, born.keys, folder)


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
