"""How a chain comes to be: from genesis, or from a saved state."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from solders.hash import Hash
from solders.keypair import Keypair

from node.chain.clusters import Cluster
from node.localnet.artefacts import load_programs
from node.localnet.bank import Bank
from node.localnet.genesis import Programs, deploy, place_accounts, run_genesis
from node.localnet.keys import OWN_NAMES, admin_keys, new_keys, read_keys
from node.localnet.options import LocalnetOptions
from node.localnet.snapshot import Snapshot
from node.localnet.validator import Validator
from node.records import Address

_FIRST_SLOTS = 40
"""Slots that have passed when a fresh chain is ready, so that its three commitments differ from the start."""


@dataclass(frozen=True, slots=True)
class Born:
    """What a chain starts from."""

    validator: Validator
    keys: Mapping[str, Keypair]
    market: Address | None


def programs_for(options: LocalnetOptions) -> Programs:
    """The compiled programs for the options' addresses. Raises LocalnetError as `load_programs` does."""
    return {Address(program.address): program.elf for program in load_programs(options.ids)}


def create(options: LocalnetOptions, cluster: Cluster, programs: Programs) -> Born:
    """A fresh chain. Raises LocalnetError for key files that are none, or a program that refuses."""
    keys = new_keys()
    if options.keys is not None:
        keys.update(read_keys(options.keys))
    bank = Bank()
    genesis_hash = Hash(hashlib.sha256(os.urandom(32)).digest())
    validator = Validator(
        bank, genesis_hash=genesis_hash, time=options.clock.time, rule=options.skip, history=options.history
    )
    deploy(bank, programs)
    place_accounts(bank, cluster, keys)
    market = run_genesis(validator, cluster, keys, programs=programs, market_price=options.market_price)
    bank.finalize()
    for _ in range(_FIRST_SLOTS):
        validator.tick()
    return Born(validator, keys, market)


def restore(options: LocalnetOptions, loaded: Snapshot, programs: Programs) -> Born:
    """The chain that was saved, with today's programs."""
    bank = Bank()
    validator = Validator(
        bank,
        genesis_hash=loaded.genesis_hash,
        time=options.clock.time,
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
    bank.finalize()
    keys = {name: loaded.keys[name] for name in OWN_NAMES if name in loaded.keys} | admin_keys()
    return Born(validator, keys, Address(loaded.market) if loaded.market else None)
