"""The engines agree: plain Python, NumPy, and the CUDA kernels on emulated threads."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import GpuError
from node.gpu.cuda import CudaDevice
from node.gpu.work import hashes
from node.gpu.work.cpu import EXACT, CpuEngine
from node.gpu.work.cuda import CudaEngine
from node.gpu.work.prover import open_rows, prove
from node.gpu.work.stream import keystream, matrix, matrix_rows
from tests.gpu.work import reference
from tests.gpu.work.emulated import EmulatedDevice
from tests.gpu.work.examples import AFTER, CHALLENGE, worked

KEY = bytes(range(32))


def test_the_keystream_is_that_of_the_standard() -> None:
    """RFC 8439, appendix A.1: the first two blocks of the zero key, and the last block before the counter is full."""
    start = "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
    assert bytes(keystream(bytes(32), 0, 32)).hex() == start
    assert (
        bytes(keystream(bytes(32), 1, 32)).hex() == "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
    )
    assert bytes(keystream(KEY, 2**32 - 1, 64)) == reference.chacha_block(KEY, 2**32 - 1)


@given(key=st.binary(min_size=32, max_size=32), first=st.integers(0, 2**20), length=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_keystreams_of_both_agree(key: bytes, first: int, length: int) -> None:
    assert bytes(keystream(key, first, length)) == reference.keystream(key, first, length)


def test_a_row_is_made_without_the_others() -> None:
    whole = matrix(KEY, 512)
    assert (matrix_rows(KEY, 512, 300, 5) == whole[300:305]).all()
    assert matrix_rows(KEY, 512, 511)[0].tolist() == reference.line(KEY, 512, 511)


@pytest.mark.parametrize("size", [256, 2048])
def test_float_products_are_exact_at_their_worst(size: int) -> None:
    """All of the same sign and size: the largest sums there can be, beyond what one 32-bit float could hold."""
    engine = CpuEngine()
    engine.begin(KEY, KEY, size)
    engine._columns = [np.full_like(columns, -128) for columns in engine._columns]
    made = engine.products(np.full((2, size), -128, dtype=np.int8))
    assert (made == size * 2**14).all()
    assert EXACT * 2**14 <= 2**24
    rows = np.full((1, size), 127, dtype=np.int8)
    rows[0, ::2] = -127
    assert (engine.products(rows) == 0).all()


def test_the_cpu_engine_makes_the_products_of_the_definition() -> None:
    engine = CpuEngine()
    engine.begin(KEY, KEY, 2048)
    rows = matrix_rows(bytes(32), 2048, 0, 3)
    columns = matrix(KEY, 2048)
    assert (engine.products(rows) == rows.astype(np.int64) @ columns.astype(np.int64).T).all()


def test_a_round_is_that_of_the_description() -> None:
    """Root of the first round of size 256, with nothing but SHA-256 and the reference's keystream."""
    done = worked()
    state = hashlib.sha256(b"gwI1" + done.seed + reference.u32(256)).digest()
    key_a = hashlib.sha256(b"gwA1" + state + reference.u32(1)).digest()
    key_b = hashlib.sha256(b"gwB1" + done.seed + reference.u32(256)).digest()
    a = np.array([reference.line(key_a, 256, row) for row in range(256)], dtype=np.int64)
    b = np.array([reference.line(key_b, 256, column) for column in range(256)], dtype=np.int64)
    product = (a @ b.T).astype("<i4")
    layer = [hashlib.sha256(b"gwL1" + reference.u32(1, row, 0) + product[row].tobytes()).digest() for row in range(256)]
    while len(layer) > 1:
        layer = [hashlib.sha256(b"gwN1" + layer[at] + layer[at + 1]).digest() for at in range(0, len(layer), 2)]
    assert layer[0] == done.kept[0].root


def cuda(capability: tuple[int, int]) -> CudaEngine:
    device: CudaDevice = EmulatedDevice(capability)  # type: ignore[assignment]
    return CudaEngine(device)


@pytest.mark.parametrize(
    "capability", [pytest.param((7, 0), marks=pytest.mark.long), (7, 5), pytest.param((8, 0), marks=pytest.mark.long)]
)
def test_the_kernels_make_the_same_rounds(capability: tuple[int, int]) -> None:
    engine = cuda(capability)
    done = prove(engine, CHALLENGE, size=256, rounds=2, openings=32)
    expected = prove(CpuEngine(), CHALLENGE, size=256, rounds=2, openings=32)
    assert done.kept == expected.kept
    assert done.states == expected.states
    opened = open_rows(engine, done, *AFTER)
    assert opened.stated.engine == "cuda"
    assert reference.check(opened.body()) is None


@pytest.mark.long
def test_the_kernels_make_the_same_round_over_many_blocks() -> None:
    """Size 512 has eight blocks of the product in two columns; and a second proof uses the same memory."""
    engine, other = cuda((8, 0)), CpuEngine()
    for size in (512, 256):
        seed = hashes.seed_of(CHALLENGE)
        for each in (engine, other):
            each.begin(hashes.key_b(seed, size), hashes.first_state(seed, size), size)
        assert engine.advance(1) == other.advance(1)


@pytest.mark.long
def test_the_kernels_take_any_number_of_rows() -> None:
    engine, other = cuda((7, 0)), CpuEngine()
    rows = matrix_rows(bytes(32), 256, 0, 256)
    for each in (engine, other):
        each.begin(KEY, KEY, 256)
    for count in (1, 16, 130, 256):
        assert (engine.products(rows[:count]) == other.products(rows[:count])).all()
    assert (engine.products(np.concatenate([rows, rows[:3]])) == other.products(np.concatenate([rows, rows[:3]]))).all()


def test_a_gpu_that_is_too_old_or_too_small_says_so() -> None:
    with pytest.raises(GpuError, match="too old"):
        cuda((5, 2))
    engine = cuda((8, 0))
    engine._gpu.memory_bytes = 1 << 20
    with pytest.raises(GpuError, match="too little memory"):
        engine.begin(KEY, KEY, 256)
