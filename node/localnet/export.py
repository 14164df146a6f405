"""The chain as `solana-test-validator` (release 3.1.8) takes it: programs, accounts, keys, and the command line.

The folder holds `programs/ADDRESS.so`, `accounts/ADDRESS.json` (the form `solana account --output json` writes),
`keys/NAME.json`, and `start.sh`, which runs the command line with whatever options are added to it. The validator
makes a genesis of these: slots, blockhashes and transactions begin anew, and its clock is the machine's. The
faucet's SOL is the genesis mint's (500,000,000 SOL), so that its key pays there as it does here.
"""

from __future__ import annotations

import base64
import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from solders.account import Account
from solders.pubkey import Pubkey

from node.chain.addresses import to_key
from node.errors import LocalnetError
from node.localnet.keys import write_keys

if TYPE_CHECKING:
    from node.localnet.app import Localnet

VALIDATOR = "solana-test-validator"
_RENT_EPOCH = 2**64 - 1
"""Of an account that pays no rent."""
_PARTS = ("programs", "accounts")


def export_chain(net: Localnet, folder: Path) -> list[str]:
    """Write the chain's programs, accounts and keys below `folder`; the command line that starts a validator on them.

    The folder is made where it is missing; an earlier export in it is replaced. Paths in the command line are
    absolute. Ports, ledger and slot length are the caller's to add. Raises LocalnetError where the folder cannot
    be written, or holds other keys than the chain's.
    """
    place = folder.expanduser().absolute()
    _require_free(place)
    faucet = net.keys["faucet"].pubkey()
    try:
        for part in _PARTS:
            shutil.rmtree(place / part, ignore_errors=True)
            (place / part).mkdir(parents=True)
        programs = _write_programs(net, place / "programs")
        for key, account in net.validator.bank.dump():
            if key != faucet:
                text = json.dumps(account_json(key, account), indent=1)
                (place / "accounts" / f"{key}.json").write_text(text)
        line = [VALIDATOR, "--reset", "--mint", str(faucet), "--account-dir", str(place / "accounts")]
        for address, path in programs.items():
            line += ["--bpf-program", address, str(path)]
        script = place / "start.sh"
        script.write_text(f'#!/bin/sh\nexec {shlex.join(line)} "$@"\n')
        script.chmod(0o755)
    except OSError as error:
        raise LocalnetError(
            f"the chain cannot be written to {place}: {error.strerror or error}",
            hint="Choose a folder you may write to.",
        ) from None
    write_keys(place / "keys", net.keys)
    return line


def account_json(key: Pubkey, account: Account) -> dict[str, Any]:
    """An account in the form that `solana account --output json` writes and validators read."""
    return {
        "pubkey": str(key),
        "account": {
            "lamports": account.lamports,
            "data": [base64.b64encode(account.data).decode(), "base64"],
            "owner": str(account.owner),
            "executable": account.executable,
            "rentEpoch": _RENT_EPOCH,
            "space": len(account.data),
        },
    }


def _write_programs(net: Localnet, folder: Path) -> Mapping[str, Path]:
    written: dict[str, Path] = {}
    for address in net.programs:
        code = net.validator.bank.program_code(to_key(address))
        if code is not None:
            written[address] = path = folder / f"{address}.so"
            path.write_bytes(code)
    return written


def _require_free(place: Path) -> None:
    """See that nothing but an earlier export would be written over."""
    if place.is_dir() and any(place.iterdir()) and not (place / "start.sh").exists():
        raise LocalnetError(
            f"{place} is not empty, and no export of a chain", hint="Choose a folder that is empty, or a new one."
        )
