"""Programs as accounts: what the upgradeable loader keeps at a program's address and where its code lies.

Layout of the upgradeable loader (loader v3). A program that is there from genesis looks as `solana-test-validator`
makes it: deployed in slot 0, upgradeable by the key of all zeros, which is to say by nobody.
"""

from __future__ import annotations

from dataclasses import dataclass

from solders.account import Account
from solders.pubkey import Pubkey

UPGRADEABLE_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
LOADER_2 = Pubkey.from_string("BPFLoader2111111111111111111111111111111111")
"""The loader of programs that cannot be changed: their code lies at their own address."""
LOADERS = (
    UPGRADEABLE_LOADER,
    LOADER_2,
    Pubkey.from_string("BPFLoader1111111111111111111111111111111111"),
)
NOBODY = Pubkey.default()
"""The upgrade authority of genesis programs."""
_PROGRAM = (2).to_bytes(4, "little")
_PROGRAM_DATA = (3).to_bytes(4, "little")
_HEADER = 45
"""Bytes before the code: kind, slot of deployment (u64), whether there is an authority, the authority."""


@dataclass(frozen=True, slots=True)
class DeployedProgram:
    """One program of the upgradeable loader."""

    address: Pubkey
    code: bytes
    authority: Pubkey | None
    """Who may upgrade it; None: it is final."""


def code_address(program: Pubkey) -> Pubkey:
    """The account that holds the program's code."""
    return Pubkey.find_program_address([bytes(program)], UPGRADEABLE_LOADER)[0]


def code_account(code: bytes, lamports: int) -> Account:
    """The account that holds the code of a program that is there from genesis."""
    header = _PROGRAM_DATA + bytes(8) + b"\x01" + bytes(NOBODY)
    return Account(lamports, header + code, UPGRADEABLE_LOADER, False)


def is_program(account: Account) -> bool:
    """Whether the account is a program of the upgradeable loader."""
    return account.owner == UPGRADEABLE_LOADER and account.data[:4] == _PROGRAM


def deployed(address: Pubkey, code: Account) -> DeployedProgram | None:
    """The program at the address, given the account that holds its code; None where that is none."""
    data = code.data
    if code.owner != UPGRADEABLE_LOADER or data[:4] != _PROGRAM_DATA or len(data) < _HEADER:
        return None
    authority = Pubkey.from_bytes(data[13:_HEADER]) if data[12] else None
    return DeployedProgram(address, data[_HEADER:], authority)
