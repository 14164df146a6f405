"""Instructions in the form of `jsonParsed`, and programs that are not there."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountWithSeedParams, create_account_with_seed

from node.localnet.rpc.instructions import instruction_json
from node.localnet.spl import TOKEN_PROGRAM
from tests.localnet.rpc import RpcClient, pay, signed, wallet, wire

A, B, C, D, E, F, G = KEYS = [str(Pubkey.new_unique()) for _ in range(7)]
KEY = Pubkey.new_unique()
SYSTEM = Pubkey.default()
ASSOCIATED = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
TABLES = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")


def token(number: int, layout: str = "", *values: Any) -> bytes:
    """Data of an SPL Token instruction."""
    return bytes([number]) + struct.pack("<" + layout, *values)


ONE = {"amount": "1000000", "decimals": 6, "uiAmount": 1.0, "uiAmountString": "1"}
READ: list[tuple[Pubkey, list[str], bytes, str, dict[str, Any]]] = [
    (SYSTEM, [A, B], struct.pack("<IQ", 2, 5), "transfer", {"source": A, "destination": B, "lamports": 5}),
    (SYSTEM, [A], struct.pack("<I", 1) + bytes(KEY), "assign", {"account": A, "owner": str(KEY)}),
    (SYSTEM, [A], struct.pack("<IQ", 8, 9), "allocate", {"account": A, "space": 9}),
    (
        SYSTEM,
        [A, B, C],
        struct.pack("<I", 4),
        "advanceNonce",
        {"nonceAccount": A, "recentBlockhashesSysvar": B, "nonceAuthority": C},
    ),
    (
        TOKEN_PROGRAM,
        [A, B, C],
        token(3, "Q", 7),
        "transfer",
        {"source": A, "destination": B, "amount": "7", "authority": C},
    ),
    (
        TOKEN_PROGRAM,
        [A, B, C, D, E],
        token(3, "Q", 7),
        "transfer",
        {"source": A, "destination": B, "amount": "7", "multisigAuthority": C, "signers": [D, E]},
    ),
    (
        TOKEN_PROGRAM,
        [A, B, C, D],
        token(12, "QB", 1_000_000, 6),
        "transferChecked",
        {"source": A, "mint": B, "destination": C, "tokenAmount": ONE, "authority": D},
    ),
    (
        TOKEN_PROGRAM,
        [A, B, C],
        token(7, "Q", 7),
        "mintTo",
        {"mint": A, "account": B, "amount": "7", "mintAuthority": C},
    ),
    (
        TOKEN_PROGRAM,
        [A, B],
        token(6, "BB", 1, 0),
        "setAuthority",
        {"mint": A, "authorityType": "freezeAccount", "newAuthority": None, "authority": B},
    ),
    (TOKEN_PROGRAM, [A, B, C], token(9), "closeAccount", {"account": A, "destination": B, "owner": C}),
    (TOKEN_PROGRAM, [A, B], token(5), "revoke", {"source": A, "owner": B}),
    (
        TOKEN_PROGRAM,
        [A],
        token(20, "B32sB", 6, bytes(KEY), 0),
        "initializeMint2",
        {"mint": A, "decimals": 6, "mintAuthority": str(KEY)},
    ),
    (
        TOKEN_PROGRAM,
        [A, B],
        token(18, "32s", bytes(KEY)),
        "initializeAccount3",
        {"account": A, "mint": B, "owner": str(KEY)},
    ),
    (TOKEN_PROGRAM, [A], token(21, "H", 7), "getAccountDataSize", {"mint": A, "extensionTypes": ["immutableOwner"]}),
    (
        ASSOCIATED,
        [A, B, C, D, E, F],
        b"\x01",
        "createIdempotent",
        {"source": A, "account": B, "wallet": C, "mint": D, "systemProgram": E, "tokenProgram": F},
    ),
    (
        TABLES,
        [A, B, C, D],
        struct.pack("<IQ", 2, 1) + bytes(KEY),
        "extendLookupTable",
        {
            "lookupTableAccount": A,
            "lookupTableAuthority": B,
            "newAddresses": [str(KEY)],
            "payerAccount": C,
            "systemProgram": D,
        },
    ),
]


@pytest.mark.parametrize(("program", "accounts", "data", "kind", "info"), READ, ids=[row[3] for row in READ])
def test_instructions_are_read(
    program: Pubkey, accounts: list[str], data: bytes, kind: str, info: dict[str, Any]
) -> None:
    seen = instruction_json(program, accounts, data, 1)
    assert seen["parsed"] == {"type": kind, "info": info}
    assert set(seen) == {"program", "programId", "parsed", "stackHeight"}


def test_texts_are_read_with_their_length() -> None:
    made = create_account_with_seed(
        CreateAccountWithSeedParams(
            from_pubkey=KEY, to_pubkey=KEY, base=KEY, seed="säed", lamports=1, space=2, owner=TOKEN_PROGRAM
        )
    )
    seen = instruction_json(SYSTEM, [A, B], bytes(made.data), 1)
    assert seen["parsed"]["info"] == {
        "source": A,
        "newAccount": B,
        "base": str(KEY),
        "seed": "säed",
        "lamports": 1,
        "space": 2,
        "owner": str(TOKEN_PROGRAM),
    }


@given(st.sampled_from([SYSTEM, TOKEN_PROGRAM, ASSOCIATED, TABLES]), st.integers(0, 7), st.binary(max_size=80))
def test_what_cannot_be_read_stays_bytes(program: Pubkey, count: int, data: bytes) -> None:
    seen = instruction_json(program, KEYS[:count], data, 2)
    assert seen["programId"] == str(program)
    assert ("parsed" in seen) != ("data" in seen)


async def test_a_program_that_is_not_there_is_told_from_an_account_that_is_none(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    absent = Instruction(Pubkey.new_unique(), b"", [AccountMeta(payer.pubkey(), is_signer=True, is_writable=True)])
    error = await rpc.fail(
        "sendTransaction",
        wire(signed([absent], payer, await rpc.blockhash())),
        {"encoding": "base64", "preflightCommitment": "processed"},
    )
    assert error["data"]["err"] == "ProgramAccountNotFound"
    assert error["message"] == "Transaction simulation failed: Attempt to load a program that does not exist"
    other = Pubkey.new_unique()
    await rpc.send(pay(payer, other, 10_000_000, await rpc.blockhash()))
    wrong = Instruction(other, b"", [])
    error = await rpc.fail(
        "sendTransaction",
        wire(signed([wrong], payer, await rpc.blockhash())),
        {"encoding": "base64", "preflightCommitment": "processed"},
    )
    assert error["data"]["err"] == "InvalidProgramForExecution"
