"""The rules that any instruction follows before its own: its bytes, and its accounts in their declared order."""

from __future__ import annotations

from solders.pubkey import Pubkey

from .attempts import Attempt, Fault, Rule, stranger, unsigned
from .harness import INTERFACES, SYSTEM, TOKEN, accounts_of

CREATED = {
    ("jobs", "open"): {"market", "vault"},
    ("jobs", "list"): {"job"},
    ("jobs", "assign"): {"job", "run"},
    ("jobs", "claim"): {"run"},
    ("nodes", "register"): {"node"},
    ("staking", "init"): {"settings"},
    ("staking", "stake"): {"vault", "stake"},
    ("rewards", "init"): {"reflection", "vault"},
    ("rewards", "enter"): {"reward"},
}
"""Accounts an instruction creates: nothing is known of them while they are loaded, not even their name."""

UNCHECKED = {
    ("jobs", "open"): {"access_key"},
    ("jobs", "update"): {"access_key"},
    ("jobs", "assign"): {"node"},
    ("jobs", "list"): {"run"},
    ("jobs", "delist"): {"payer"},
    ("jobs", "recover"): {"payer"},
    ("jobs", "end"): {"payer"},
    ("jobs", "work"): {"run", "metadata"},
    ("jobs", "stop"): {"node"},
    ("jobs", "claim"): {"metadata"},
    ("jobs", "finish"): {"payer_run", "payer_job"},
    ("jobs", "quit"): {"payer"},
    ("jobs", "quit_admin"): {"payer"},
    ("jobs", "clean"): {"payer"},
    ("jobs", "clean_admin"): {"payer"},
    ("staking", "unstake"): {"reward"},
    ("staking", "update_settings"): {"new_authority"},
}
"""Accounts that may be anything while they are loaded."""


def kind(program: str, name: str, account: str) -> str:
    """What an account has to be to be loaded: created, unchecked, signer, program, sysvar or state."""
    if account in CREATED.get((program, name), ()):
        return "created"
    if account in UNCHECKED.get((program, name), ()):
        return "unchecked"
    if account.endswith("_program"):
        return "program"
    if account == "rent":
        return "sysvar"
    return "signer" if "S" in dict(INTERFACES[program][name]["accounts"])[account] else "state"


def missing(name: str) -> Fault:
    """Passes an address where no account is."""
    return stranger(name, sol=0)


def instead(name: str, address: Pubkey) -> Fault:
    def put(attempt: Attempt) -> None:
        attempt.accounts[name] = address

    return put


def cut(count: int) -> Fault:
    """Passes so many accounts and no more."""

    def put(attempt: Attempt) -> None:
        attempt.keep = count

    return put


def too_short(attempt: Attempt) -> None:
    """Leaves the last byte of the arguments away."""
    attempt.size = len(attempt.instruction().data) - 1


def load_rules(program: str, name: str) -> list[Rule]:
    """Errors of decoding and loading, in their order."""
    interface = INTERFACES[program][name]
    rules: list[Rule] = [(too_short, "InstructionDidNotDeserialize", "")] if interface["args"] else []
    for index, account in enumerate(accounts_of(program, name)):
        sort = kind(program, name, account)
        rules.append((cut(index), "AccountNotEnoughKeys", "" if sort == "created" else account))
        if sort == "state":
            rules.append((missing(account), "AccountNotInitialized", account))
        elif sort == "signer":
            rules.append((unsigned(account), "AccountNotSigner", account))
        elif sort == "program":
            other = SYSTEM if account == "token_program" else TOKEN
            rules.append((instead(account, other), "InvalidProgramId", account))
        elif sort == "sysvar":
            rules.append((instead(account, SYSTEM), "AccountSysvarMismatch", account))
    return rules


def pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
