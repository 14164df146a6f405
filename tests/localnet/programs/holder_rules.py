"""The rules of the staking, rewards and nodes programs in the order in which they are checked."""

from __future__ import annotations

import struct

from .attempts import (
    Attempt,
    Rule,
    argument,
    readonly,
    stored,
    stranger,
    tokens_of_stranger,
)
from .harness import START
from .holder_scene import AMOUNT, DURATION, FUNDS, YEAR, Holder, ready
from .job_rules import duplicates, frozen, in_use

# Offsets of stored keys and values.
STAKE_AUTHORITY, STAKE_DURATION, STAKE_UNSTAKE, STAKE_VAULT, STAKE_XNOS = 16, 48, 56, 64, 97
REWARD_AUTHORITY, REWARD_REFLECTION, REWARD_XNOS = 8, 41, 57
POT_RATE, POT_REFLECTION, POT_XNOS, POT_VAULT = 8, 24, 40, 56
SETTINGS_AUTHORITY, SETTINGS_TOKEN_ACCOUNT = 8, 40
TOKEN_AMOUNT = 64

HOLDER: Rule = (stored("stake", STAKE_AUTHORITY), "Unauthorized", "stake")
INVALID_VAULT: Rule = (stored("stake", STAKE_VAULT), "InvalidVault", "stake")
UNSTAKED: Rule = (stored("stake", STAKE_UNSTAKE, struct.pack("<q", START)), "AlreadyUnstaked", "stake")
STAKED = stored("stake", STAKE_UNSTAKE, bytes(8))
GOVERNOR: Rule = (stored("settings", SETTINGS_AUTHORITY), "Unauthorized", "settings")
POT_OF_ANOTHER_VAULT: Rule = (stored("reflection", POT_VAULT), "InvalidVault", "reflection")
POORER: Rule = (stored("user", TOKEN_AMOUNT, bytes(8)), "Custom(1)", "")


def settings_elsewhere(attempt: Attempt) -> None:
    """The same settings at another address."""
    world = attempt.world
    copy = world.data(attempt.accounts["settings"])
    attempt.accounts["settings"] = world.put(world.key(), world.programs["staking"], copy)


def reward_left(attempt: Attempt) -> None:
    attempt.world.put(attempt.accounts["reward"], attempt.world.programs["rewards"], bytes(80))


def derived(name: str, payer: str = "authority") -> list[Rule]:
    """The creation of an account at a derived address."""
    return [
        (stranger(name), "ConstraintSeeds", name),
        (readonly(payer), "PrivilegeEscalation", ""),
        (in_use(name), "Custom(0)", ""),
    ]


def _too_long(attempt: Attempt) -> None:
    argument(1, YEAR + 1)(attempt)


PROFILES: list[Rule] = [
    (argument(0, 10), "ArchitectureUnknown", ""),
    (argument(1, 1), "CountryCodeUnknown", ""),
    (argument(2, 0), "CpuInvalid", ""),
    (argument(4, 0), "MemoryInvalid", ""),
    (argument(5, 0), "IopsInvalid", ""),
    (argument(6, 0), "StorageInvalid", ""),
    (argument(8, "i" * 60), "AccountDidNotSerialize", "node"),
]

RULES: dict[tuple[str, str], list[Rule]] = {
    ("staking", "init"): derived("settings"),
    ("staking", "update_settings"): [
        (tokens_of_stranger("token_account", own_mint=False), "ConstraintTokenMint", ""),
        (settings_elsewhere, "ConstraintSeeds", "settings"),
        *frozen("settings"),
        GOVERNOR,
    ],
    ("staking", "stake"): [
        *derived("vault"),
        (stranger("stake"), "ConstraintSeeds", "stake"),
        (in_use("stake"), "Custom(0)", ""),
        *frozen("user"),
        (argument(1, DURATION - 1), "DurationTooShort", ""),
        (_too_long, "DurationTooLong", ""),
        (argument(0, FUNDS + 1), "Custom(1)", ""),
    ],
    ("staking", "topup"): [
        *duplicates("user", "vault"),
        *frozen("user", "vault", "stake"),
        INVALID_VAULT,
        HOLDER,
        UNSTAKED,
        (argument(0, 0), "AmountNotEnough", ""),
        POORER,
    ],
    ("staking", "extend"): [
        *frozen("stake"),
        HOLDER,
        UNSTAKED,
        (argument(0, 0), "DurationTooShort", ""),
        (argument(0, YEAR), "DurationTooLong", ""),
    ],
    ("staking", "unstake"): [
        *frozen("stake"),
        HOLDER,
        UNSTAKED,
        (reward_left, "HasReward", "reward"),
        (stranger("reward"), "InvalidAccount", "reward"),
    ],
    ("staking", "restake"): [
        *frozen("vault", "stake"),
        INVALID_VAULT,
        HOLDER,
        (STAKED, "AlreadyStaked", "stake"),
    ],
    ("staking", "withdraw"): [
        *duplicates("user", "vault"),
        *frozen("user", "vault"),
        (stored("vault", TOKEN_AMOUNT, bytes(8)), "VaultEmpty", "vault"),
        *frozen("stake"),
        INVALID_VAULT,
        HOLDER,
        (STAKED, "NotUnstaked", "stake"),
        *frozen("authority"),
    ],
    ("staking", "close"): [
        *duplicates("user", "vault"),
        *frozen("user", "stake"),
        INVALID_VAULT,
        HOLDER,
        (STAKED, "NotUnstaked", "stake"),
        (stored("stake", STAKE_UNSTAKE, struct.pack("<q", START + 1)), "Locked", "stake"),
        *frozen("vault"),
        (stored("vault", TOKEN_AMOUNT, struct.pack("<Q", 1)), "VaultNotEmpty", "vault"),
        *frozen("authority"),
    ],
    ("staking", "slash"): [
        *duplicates("vault", "token_account"),
        *frozen("vault", "stake"),
        INVALID_VAULT,
        *frozen("token_account"),
        (tokens_of_stranger("token_account"), "InvalidTokenAccount", "token_account"),
        (settings_elsewhere, "ConstraintSeeds", "settings"),
        GOVERNOR,
        (argument(0, AMOUNT + 1), "AmountNotEnough", ""),
        (stored("vault", TOKEN_AMOUNT, bytes(8)), "Custom(1)", ""),
    ],
    ("rewards", "init"): [*derived("reflection"), (stranger("vault"), "ConstraintSeeds", "vault")],
    ("rewards", "enter"): [*derived("reward"), *frozen("reflection"), HOLDER, UNSTAKED],
    ("rewards", "add_fee"): [
        *duplicates("user", "vault"),
        *frozen("user", "reflection"),
        POT_OF_ANOTHER_VAULT,
        *frozen("vault"),
        POORER,
    ],
    ("rewards", "claim"): [
        *duplicates("user", "vault"),
        *frozen("user", "vault", "reflection"),
        POT_OF_ANOTHER_VAULT,
        *frozen("reward"),
        (stored("reward", REWARD_AUTHORITY), "Unauthorized", "reward"),
        HOLDER,
        UNSTAKED,
        (stored("stake", STAKE_XNOS, bytes(16)), "Decreased", "stake"),
        *frozen("authority"),
        (stored("vault", TOKEN_AMOUNT, bytes(8)), "Custom(1)", ""),
    ],
    ("rewards", "sync"): [*frozen("reward"), UNSTAKED, HOLDER, *frozen("reflection")],
    ("rewards", "close"): [
        *frozen("reflection", "reward"),
        (stored("reward", REWARD_AUTHORITY), "Unauthorized", "reward"),
        *frozen("authority"),
    ],
    ("nodes", "register"): [*derived("node", "payer"), *PROFILES],
    ("nodes", "update"): [*frozen("node"), (stored("node", 8), "Unauthorized", "node"), *PROFILES],
    ("nodes", "audit"): [*frozen("node"), (stranger("authority"), "Unauthorized", "authority")],
}


def call(program: str, instruction: str) -> Attempt:
    """A call that succeeds, signed by as many keys as it has roles."""
    if (program, instruction) == ("rewards", "claim"):
        return _claim()
    attempt = ready(program, instruction)
    if instruction == "register":
        attempt.accounts["payer"] = attempt.world.wallet()
    return attempt


def _claim() -> Attempt:
    """With something to claim."""
    holder = Holder().take_part()
    holder.do("rewards", "add_fee", 1_000_000)
    return holder.attempt("rewards", "claim")
