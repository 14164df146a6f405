"""How a chain comes to be: from genesis, or from a saved state."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from solders.hash import Hash
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from node.chain.addresses import to_address
from node.chain.clusters import Cluster
from node.errors import LocalnetError
from node.localnet.account_files import read_accounts
from node.localnet.artefacts import load_programs
from node.localnet.bank import Bank
from node.localnet.chain_time import ChainTime
from node.localnet.genesis import (
    Programs,
    deploy,
    place_accounts,
    place_faucet,
    place_interfaces,
    place_wrapped_sol,
    run_genesis,
)
from node.localnet.keys import EMPTY_NAMES, admin_keys, new_keys, read_keys
from node.localnet.loaders import code_address
from node.localnet.options import LocalnetOptions
from node.localnet.snapshot import Snapshot
from node.localnet.validator import Validator
from node.records import Address

_ELF = b"\x7fELF"
_FIRST_SLOTS = 40
"""Slots that have passed when a fresh chain is ready, so that its three commitments differ from the start."""


@dataclass(frozen=True, slots=True)
class Born:
    """What a chain starts from."""

    validator: Validator
    time: ChainTime
    keys: Mapping[str, Keypair]
    market: Address | None
    empty: bool


def programs_for(options: LocalnetOptions) -> Programs:
    """The compiled programs for the options' addresses. Raises LocalnetError as `load_programs` does."""
    return {Address(program.address): program.elf for program in load_programs(options.ids)}


def added_programs(files: Mapping[Address, Path]) -> Programs:
    """The compiled programs of files. Raises LocalnetError for one that cannot be read or is none."""
    return {address: _code(path) for address, path in files.items()}


def _code(path: Path) -> bytes:
    hint = "Name a program compiled for Solana: ADDRESS=FILE.so."
    try:
        code = path.read_bytes()
    except OSError as error:
        raise LocalnetError(f"the program {path} cannot be read: {error.strerror or error}", hint=hint) from None
    if not code.startswith(_ELF):
        raise LocalnetError(f"{path} is no compiled program", hint=hint)
    return code


def create(options: LocalnetOptions, cluster: Cluster, programs: Programs) -> Born:
    """A fresh chain. Raises LocalnetError for files that are not what they should be, or a program that refuses."""
    keys = new_keys()
    if options.keys is not None:
        keys.update(read_keys(options.keys))
    bank = Bank()
    time = ChainTime(options.clock.time)
    genesis_hash = Hash(hashlib.sha256(os.urandom(32)).digest())
    validator = Validator(bank, genesis_hash=genesis_hash, time=time, rule=options.skip, history=options.history)
    deploy(bank, {**programs, **added_programs(options.programs)})
    place_interfaces(bank, cluster)
    place_wrapped_sol(bank)
    place_faucet(bank, keys)
    market = None
    if options.empty:
        keys = {name: keys[name] for name in EMPTY_NAMES}
    else:
        place_accounts(bank, cluster, keys)
        market = run_genesis(validator, cluster, keys, programs=programs, market_price=options.market_price)
    for path in options.accounts:
        for key, account in read_accounts(path, bank.minimum_rent):
            bank.set_account(key, account, 0)
    bank.finalize()
    for _ in range(_FIRST_SLOTS):
        validator.tick()
    return Born(validator, time, keys, market, options.empty)


def restore(options: LocalnetOptions, loaded: Snapshot, programs: Programs) -> Born:
    """The chain that was saved, with today's programs. Its clock goes on with the machine's.

    Raises LocalnetError for a chain that is not what the options ask for, or a program that cannot be read.
    """
    _require_fit(options, loaded)
    bank = Bank()
    time = ChainTime(options.clock.time, loaded.ahead)
    validator = Validator(
        bank,
        genesis_hash=loaded.genesis_hash,
        time=time,
        rule=options.skip,
        history=options.history,
        first=loaded.blocks[0],
    )
    deploy(bank, programs)
    for block in loaded.blocks[1:]:
        validator.slots.append(block)
    validator.restore(loaded.blockhashes, loaded.records, loaded.transaction_count)
    validator.ledger.incomplete_upto = loaded.incomplete_upto
    head = validator.slots.head
    for key, account in loaded.accounts:
        bank.set_account(key, account, head.slot)
    deploy(bank, added_programs(options.programs))
    bank.finalize()
    keys = {**loaded.keys, **admin_keys()}  # a chain saved by an earlier release did not list the admins'
    return Born(validator, time, keys, Address(loaded.market) if loaded.market else None, loaded.empty)


def standing_accounts(bank: Bank, programs: Programs) -> frozenset[Pubkey]:
    """The accounts of those of the programs that are deployed as they are here: what need not be saved."""
    same = [found.address for found in bank.programs() if programs.get(to_address(found.address)) == found.code]
    return frozenset([*same, *map(code_address, same)])


def _require_fit(options: LocalnetOptions, loaded: Snapshot) -> None:
    if loaded.ids != options.ids:
        raise LocalnetError(
            f"the saved chain has the {loaded.ids} addresses, not the {options.ids} ones",
            hint=f"Start with --ids {loaded.ids}, or choose another file.",
        )
    if options.empty and not loaded.empty:
        raise LocalnetError("the saved chain is not empty", hint="Start without --empty, or choose another file.")
