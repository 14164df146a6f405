"""Names out of error values and logs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.chain.failures import OUT_OF_UNITS, error_name, failure

TAIL = "Error Code: {}. Error Number: {}. Error Message: {}."


def custom(number: int) -> Any:
    return {"InstructionError": [1, {"Custom": number}]}


@pytest.mark.parametrize(
    "form",
    [
        "AnchorError occurred. ",
        "AnchorError thrown in programs/nosana-jobs/src/state/jobs.rs:88. ",
        "AnchorError caused by account: payer_run. ",
    ],
)
def test_the_three_forms(form: str) -> None:
    text = "This account is not authorized to perform this action."
    logs = [
        "Program nosJTmGQxvwXy23vng5UjkTbfv91Bzf9jEuro78dAGR invoke [1]",
        "Program log: Instruction: Finish",
        "Program log: " + form + TAIL.format("Unauthorized", 6000, text),
        "Program log: Left:",
        "Program log: x",
        "Program nosJTmGQxvwXy23vng5UjkTbfv91Bzf9jEuro78dAGR failed: custom program error: 0x1770",
    ]
    refused = failure(custom(6000), logs)
    assert refused.error == "Unauthorized"
    assert refused.message.endswith("This account is not authorized to perform this action")
    assert refused.logs == tuple(logs)
    assert refused.hint


@pytest.mark.parametrize(
    ("error", "logs", "name"),
    [
        ("BlockhashNotFound", [], "BlockhashNotFound"),
        ("AlreadyProcessed", [], "AlreadyProcessed"),
        ({"InsufficientFundsForRent": {"account_index": 1}}, [], "InsufficientFundsForRent"),
        ({"InstructionError": [0, "MissingRequiredSignature"]}, [], "MissingRequiredSignature"),
        ({"InstructionError": [0, {"BorshIoError": "x"}]}, [], "BorshIoError"),
        (custom(6014), [], "Custom(6014)"),
        (
            custom(1),
            ["Program TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA failed: custom program error: 0x1"],
            "TokenInsufficientFunds",
        ),
        (
            custom(0),
            [
                "Program 11111111111111111111111111111111 failed: custom program error: 0x0",
                "Program nosJTmGQxvwXy23vng5UjkTbfv91Bzf9jEuro78dAGR failed: custom program error: 0x0",
            ],
            "AccountAlreadyInUse",
        ),
        (None, [], "Unknown"),
        ({"InstructionError": "odd"}, [], "InstructionError"),
    ],
)
def test_names(error: Any, logs: list[str], name: str) -> None:
    assert error_name(error, logs) == name
    assert failure(error, logs).error == name


def test_a_memo_cannot_pretend() -> None:
    fake = "AnchorError occurred. " + TAIL.format("JobResultNull", 6006, "x")
    memo = f'Program log: Memo (len 90): "{fake}"'
    assert error_name(custom(7), [memo]) == "Custom(7)"
    # And a line of a program that succeeded says nothing about a failure that is not a program's number.
    assert error_name({"InstructionError": [0, "ComputationalBudgetExceeded"]}, ["Program log: " + fake]) == (
        "ComputationalBudgetExceeded"
    )


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)))
def test_any_error_value_has_a_name(error: Any) -> None:
    assert isinstance(failure(error, ["x"]).error, str)


def test_both_names_of_too_few_compute_units() -> None:
    """Where the meter runs out between two instructions, the runtime has the name of any crash; its log tells."""
    crash = {"InstructionError": [2, "ProgramFailedToComplete"]}
    log = "Program nosJhNRqr2bc9g1nfGDcXXTXvYUmxD4cVwy2pMWhrYM failed: exceeded CUs meter at BPF instruction"
    assert failure(crash, [log]).error == OUT_OF_UNITS
    assert failure(crash, ["Program x failed: Access violation"]).error == "ProgramFailedToComplete"
    assert failure({"InstructionError": [2, "ComputationalBudgetExceeded"]}).error == OUT_OF_UNITS
