"""Why a transaction failed: one name out of an error value and the program logs.

Programs built with Anchor number their own errors from 6000 and share a second list that begins at 6000 too, so only
the name in the AnchorError log line identifies an error (Nosana programs). Built-in programs say a bare number; those
that matter here are named below.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from node.errors import TransactionFailed

_ANCHOR = re.compile(r"^Program log: AnchorError .*?Error Code: (\w+)\. Error Number: \d+\. Error Message: (.*)$")
_FAILED = re.compile(r"^Program (\w+) failed: ")
_LOG_LINES = 200

_BUILT_IN: dict[str, dict[int, str]] = {
    "11111111111111111111111111111111": {
        0: "AccountAlreadyInUse",
        1: "ResultWithNegativeLamports",
    },
    "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA": {
        0: "TokenNotRentExempt",
        1: "TokenInsufficientFunds",
        3: "TokenMintMismatch",
        4: "TokenOwnerMismatch",
        17: "TokenAccountFrozen",
    },
}

_HINTS = {
    "AccountNotFound": "The wallet that pays has no SOL; send it some.",
    "InsufficientFundsForFee": "The wallet cannot pay the fee; send it SOL.",
    "InsufficientFundsForRent": "The wallet cannot pay an account's rent; send it SOL.",
    "ResultWithNegativeLamports": "The wallet has too little SOL; send it some.",
    "TokenInsufficientFunds": "The token account holds too little NOS.",
    "NodeNotEnoughStake": "Stake more: `gpunode stake topup`.",
    "NodeAlreadyQueued": "The node waits in this market's queue already.",
    "NodeKeyInvalidCollection": "The market asks for an access key that this wallet does not hold.",
    "AccountNotInitialized": "An account that the instruction needs does not exist (any more).",
    "BlockhashNotFound": "The endpoint does not know the blockhash; it may lag behind.",
}
OUT_OF_UNITS = "ComputationalBudgetExceeded"
"""The runtime's name for a compute limit that was too low."""
_STARVED = "exceeded CUs meter"


def error_name(error: object, logs: Sequence[str] = ()) -> str:
    """The name of an error as JSON-RPC gives it (`err` of a status, a simulation or a transaction)."""
    name = _name(error, logs)
    # The runtime has two names for it: one where a call would have cost too much, one between two instructions.
    is_starved = name == "ProgramFailedToComplete" and any(_STARVED in line for line in logs)
    return OUT_OF_UNITS if is_starved else name


def _name(error: object, logs: Sequence[str]) -> str:
    named = _anchor(logs)
    if named is not None and _is_custom(error):
        return named[0]
    if isinstance(error, str):
        return error
    if isinstance(error, dict) and len(error) == 1:
        kind, detail = next(iter(error.items()))
        if kind == "InstructionError" and isinstance(detail, list) and len(detail) == 2:
            return _instruction_error(detail[1], logs)
        return str(kind)
    return "Unknown"


def failure(error: object, logs: Sequence[str] = ()) -> TransactionFailed:
    """The error to raise for a transaction that a program or the runtime refused."""
    kept = tuple(str(line) for line in logs)[-_LOG_LINES:]
    name = error_name(error, kept)
    named = _anchor(kept)
    text = f": {named[1]}" if named is not None and named[0] == name else ""
    return TransactionFailed(
        f"the transaction was refused with {name}{text}",
        error=name,
        logs=kept,
        hint=_HINTS.get(name, "The program logs say where; see `logs`." if kept else ""),
    )


def _anchor(logs: Sequence[str]) -> tuple[str, str] | None:
    """Name and text of the last AnchorError line: an instruction that is called comes before its caller."""
    for line in reversed(logs):
        if match := _ANCHOR.match(line):
            return match[1], match[2].rstrip(".").strip()
    return None


def _is_custom(error: object) -> bool:
    """Whether the error is a program's own number: only then can an AnchorError line be its cause."""
    match error:
        case {"InstructionError": [_, {"Custom": int()}]}:
            return True
        case _:
            return False


def _instruction_error(detail: object, logs: Sequence[str]) -> str:
    if isinstance(detail, dict) and isinstance(number := detail.get("Custom"), int):
        for line in reversed(logs):
            if match := _FAILED.match(line):
                name = _BUILT_IN.get(match[1], {}).get(number)
                if name is not None:
                    return name
        return f"Custom({number})"
    if isinstance(detail, dict) and detail:
        return str(next(iter(detail)))
    return str(detail)
