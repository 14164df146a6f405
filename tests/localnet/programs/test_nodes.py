"""The nodes program: what a host may say of itself, and who may change it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from node.countries import COUNTRY_CODES

from .attempts import argument
from .harness import INTERFACES, SOL, Argument, encode, tag
from .holder_scene import PROFILE, Holder, ready

NODE_RENT = 1_781_760
ETHIOPIA = 231

HOLDER = Holder()
HOLDER.do("nodes", "register", *PROFILE)


def node_bytes(authority: Pubkey, profile: tuple[Argument, ...], *, audited: int = 0) -> bytes:
    kinds = [kind for _, kind in INTERFACES["nodes"]["register"]["args"]]
    values = b"".join(encode(kind, value) for kind, value in zip(kinds, profile, strict=True))
    return tag("NodeAccount") + bytes(authority) + bytes([audited]) + values


def test_register_update_audit() -> None:
    holder = Holder()
    payer = holder.world.wallet()
    holder.do("nodes", "register", *PROFILE, payer=payer)
    assert holder.world.data(holder.node) == node_bytes(holder.wallet, PROFILE).ljust(128, b"\0")
    assert holder.world.lamports(holder.node) == NODE_RENT
    assert holder.world.lamports(payer) == 10 * SOL - NODE_RENT
    holder.do("nodes", "audit", 1, **holder.authority())
    changed = (9, 840, 1, 0, 1, 1, 1, "a", "b", "c")
    holder.do("nodes", "update", *changed)
    data = holder.world.data(holder.node)
    expected = node_bytes(holder.wallet, changed, audited=1)
    assert data[: len(expected)] == expected
    # Bytes of the longer strings before stay where they were.
    longer = node_bytes(holder.wallet, PROFILE)
    assert data[len(expected) : len(longer)] == longer[len(expected) :]
    holder.do("nodes", "audit", 0, **holder.authority())
    assert holder.world.data(holder.node)[40] == 0


def test_audit_takes_a_flag() -> None:
    attempt = ready("nodes", "audit")
    argument(0, 2)(attempt)
    assert attempt.send().name == "InstructionDidNotDeserialize"


def test_strings_are_text() -> None:
    attempt = ready("nodes", "update")
    argument(9, b"\x02\0\0\0\xff\xfe")(attempt)
    assert attempt.send().name == "InstructionDidNotDeserialize"


@pytest.mark.parametrize("lengths", [(62, 0, 0), (0, 62, 0), (20, 20, 22)])
def test_strings_share_62_bytes(lengths: tuple[int, int, int]) -> None:
    holder = Holder()
    fits = [*PROFILE[:7], *("x" * length for length in lengths)]
    holder.do("nodes", "register", *fits)
    too_long = [*fits[:9], str(fits[9]) + "x"]
    outcome = holder.attempt("nodes", "update", *too_long).send()
    assert (outcome.name, outcome.origin) == ("AccountDidNotSerialize", "node")
    assert "Error Number: 3004." in outcome.line


def test_countries() -> None:
    attempt = ready("nodes", "update")
    known = []
    for code in range(1000):
        argument(1, code)(attempt)
        if attempt.send().ok:
            known.append(code)
    assert set(known) == set(COUNTRY_CODES.values()) - {ETHIOPIA}
    assert len(known) == 248


@settings(max_examples=40, deadline=None)
@given(
    numbers=st.tuples(*[st.integers(1, 65_535)] * 5),
    gpu=st.integers(0, 65_535),
    architecture=st.integers(0, 9),
    version=st.text(max_size=15),
)
def test_any_valid_profile_is_stored(numbers: tuple[int, ...], gpu: int, architecture: int, version: str) -> None:
    cpu, memory, iops, storage, _ = numbers
    profile = (architecture, 276, cpu, gpu, memory, iops, storage, "", "", version)
    attempt = HOLDER.attempt("nodes", "update", *profile)
    outcome = attempt.send()
    assert outcome.ok, outcome.logs
    expected = node_bytes(HOLDER.wallet, profile)
    assert HOLDER.world.data(HOLDER.node)[: len(expected)] == expected
    assert struct.unpack_from("<H", expected, 46) == (gpu,)
