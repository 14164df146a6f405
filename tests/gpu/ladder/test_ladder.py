"""The precision ladder: of this host's processors for real, of a GPU on emulated threads."""

from __future__ import annotations

import hashlib
import importlib
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.errors import GpuError
from node.gpu.cuda import CudaDevice
from node.gpu.ladder import model, onnx
from node.gpu.ladder.cpu import CpuLadder
from node.gpu.ladder.cuda import CudaLadder, QuantisedRun
from node.gpu.ladder.formats import FORMATS, decoded, encoded
from node.gpu.ladder.measure import measured
from node.gpu.ladder.process import measure
from node.gpu.ladder.record import PRECISIONS
from node.gpu.ladder.timing import best_seconds, median_seconds
from node.gpu.work.stream import matrix
from tests.gpu.work.emulated import EmulatedDevice

KEY = bytes(range(32))
SMALL = (256, 512, 256)


def test_the_model_is_the_same_everywhere() -> None:
    """A change of it would make figures of two versions incomparable."""
    made = model.layers(SMALL)
    text = hashlib.sha256(b"".join(layer.weights.astype("<f4").tobytes() for layer in made)).hexdigest()
    assert text == hashlib.sha256(b"".join(each.weights.tobytes() for each in model.layers(SMALL))).hexdigest()
    assert [layer.rectified for layer in model.layers((64,) * 5)] == [True, False, True, False]
    assert abs(float(made[0].weights.mean())) < 0.01
    assert float(made[0].weights.std()) == pytest.approx((1 / 256) ** 0.5, rel=0.02)
    assert model.parameters(model.layers()) == sum(a * b for a, b in pairwise(model.WIDTHS)) == 19_660_800


def test_quantised_weights_are_near_the_true_ones_and_a_quarter_of_their_size() -> None:
    made = model.layers(SMALL)
    for layer, small in zip(made, model.quantised(made), strict=True):
        error = np.abs(small.weights * small.scales - layer.weights)
        assert (error <= small.scales / 2 * 1.001).all()
        assert np.abs(small.weights).max() == 127
    assert model.size_int8(made) < 0.27 * model.size_fp32(made)


def test_the_quantised_model_answers_nearly_the_same() -> None:
    made, inputs = model.layers(SMALL), model.batches(256, 2)
    full = [model.run_fp32(made, batch) for batch in inputs]
    small = [model.run_int8(model.quantised(made), batch) for batch in inputs]
    top1, cosine = model.agreement(full, small)
    assert 850 < top1 <= 1000
    assert 999_000 < cosine <= 1_000_000
    assert model.agreement(full, full) == (1000, 1_000_000)
    assert model.agreement(full, [-batch for batch in full])[1] == -1_000_000


def test_the_runtime_computes_our_graphs() -> None:
    pytest.importorskip("onnxruntime", reason="needs pip install 'gpunode[bench]'")
    # In a process of its own, as ladders are measured: the virtual machine of other tests leaves the processor's older
    # unit for floating point in a state in which libraries that use it compute nonsense.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
        apart.submit(_compute_our_graphs).result()


def _compute_our_graphs() -> None:
    runtime = importlib.import_module("onnxruntime")
    made, batch = model.layers(SMALL), model.batches(256, 1)[0]

    def answer(graph: bytes) -> np.ndarray:
        return runtime.InferenceSession(graph, providers=["CPUExecutionProvider"]).run(None, {"x": batch})[0]

    full = model.run_fp32(made, batch)
    assert np.allclose(answer(onnx.model_fp32(made, len(batch))), full, rtol=1e-3, atol=1e-3)
    small = answer(onnx.model_int8(model.quantised(made), len(batch)))
    top1, cosine = model.agreement([full], [small])
    assert top1 > 850
    assert cosine > 999_000
    first, second = matrix(KEY, 256), matrix(KEY[::-1], 256)
    session = runtime.InferenceSession(onnx.product(onnx.UINT8, 256, second), providers=["CPUExecutionProvider"])
    made_product = session.run(None, {"x": first.view(np.uint8)})[0]
    assert (made_product == first.view(np.uint8).astype(np.int64) @ second.astype(np.int64)).all()


def test_the_ladder_of_this_host() -> None:
    ladder = measured(CpuLadder(seconds=0.02, size=256), now=1_700_000_000.5)
    document = json.loads(ladder.body())
    assert ladder.digest == hashlib.sha256(ladder.body()).hexdigest()
    assert json.dumps(document, sort_keys=True, separators=(",", ":")).encode() == ladder.body()
    assert document["measuredMs"] == 1_700_000_000_500
    assert {each["precision"] for each in document["products"]} == set(PRECISIONS)
    for each in document["products"]:
        has = each["precision"] in ("fp32", "int8")
        assert (each["operationsPerSecond"] is not None) == has
        assert bool(each["why"]) != has
        assert has or each["why"].startswith("not available")
    assert document["bandwidth"]["bytesPerSecond"] > 0
    model_part = document["model"]
    if "why" not in model_part:
        assert model_part["agreement"]["top1Permille"] > 850
        assert [each["precision"] for each in model_part["variants"]] == ["fp32", "int8"]


def test_without_the_runtime_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ladder = CpuLadder(seconds=0.02, size=256)
    run, why = ladder.model()
    assert run is None
    assert "gpunode[bench]" in why
    assert [each.precision for each in ladder.products() if each.operations_per_second] == ["fp32", "int8"]


@pytest.fixture
def _few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """Emulated threads take their time, which nobody wants to know."""
    monkeypatch.setattr("node.gpu.ladder.cuda._LEAST", 1)


def emulated(capability: tuple[int, int]) -> CudaDevice:
    device: CudaDevice = EmulatedDevice(capability)  # type: ignore[assignment]
    return device


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("_few_times")
def test_the_ladder_of_a_gpu_on_emulated_threads() -> None:
    """Each kind of number goes through the kernels, and its product is compared with the host's."""
    ladder = CudaLadder(emulated((8, 9)), "GPU-x", seconds=0.0, size=256)
    products = ladder.products()
    ours = [each for each in products if each.by == "kernel of gpunode"]
    assert [each.precision for each in ours] == ["fp32", "tf32", "fp16", "bf16", "fp8", "int8"], products
    assert all(each.operations_per_second for each in ours)
    assert ladder.device().detail.startswith("compute capability 8.9")
    assert not ladder._gpu.memory  # type: ignore[attr-defined]


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("_few_times")
def test_an_older_gpu_says_what_it_lacks() -> None:
    products = CudaLadder(emulated((7, 5)), None, seconds=0.0, size=256).products()
    lacking = {each.precision: each.why for each in products if each.why}
    assert set(lacking) == {"tf32", "bf16", "fp8"}
    assert lacking["fp8"] == "not available: compute capability 7.5 has no fp8 tensor cores"


@pytest.mark.long
@pytest.mark.usefixtures("_few_times")
def test_a_wrong_product_has_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = CudaLadder(emulated((8, 0)), None, seconds=0.0, size=256)
    monkeypatch.setattr(ladder, "_tile", lambda kind: lambda *arguments: None)
    wrong = [each for each in ladder.products() if each.precision == "int8"]
    assert wrong[0].operations_per_second is None
    assert "is wrong" in wrong[0].why


@pytest.mark.long
def test_the_quantised_model_on_the_gpu_is_exactly_the_definitions() -> None:
    gpu = emulated((8, 0))
    ladder = CudaLadder(gpu, None, seconds=0.0, size=256)
    run = QuantisedRun(gpu, ladder._small, ladder._tile(0))
    made, inputs = model.layers(SMALL), model.batches(256, 1)[0]
    fp32, int8 = run.prepare(made, inputs)
    assert (int8() == model.run_int8(model.quantised(made), inputs)).all()
    assert np.allclose(fp32(), model.run_fp32(made, inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("format_", FORMATS, ids=lambda each: each.precision)
def test_numbers_of_few_bits_are_read_as_they_are_written(format_: object) -> None:
    raw = matrix(KEY, 256)
    numbers = encoded(format_, raw)  # type: ignore[arg-type]
    values = decoded(format_, numbers)  # type: ignore[arg-type]
    assert np.isfinite(values).all()
    if format_.precision == "fp8":  # type: ignore[attr-defined]
        assert 0 < np.abs(values).max() < 2
    elif format_.precision == "int8":  # type: ignore[attr-defined]
        assert (values == raw).all()
    else:
        assert (values == raw / 128).all()


@given(budget=st.floats(0, 3), each=st.floats(0.01, 1))
@settings(max_examples=30)
def test_times_are_of_at_least_three_and_the_first_does_not_count(budget: float, each: float) -> None:
    now, calls = [0.0], [0]

    def work() -> None:
        calls[0] += 1
        now[0] += 100 if calls[0] == 1 else each

    assert best_seconds(work, budget, lambda: now[0]) == pytest.approx(each)
    assert calls[0] >= 4
    calls[0] = 0
    assert median_seconds(work, budget, lambda: now[0]) == pytest.approx(each)


async def test_measuring_in_a_process() -> None:
    with pytest.raises(GpuError, match=r"CUDA|driver"):
        await measure("cuda", "GPU-none", 0.1)
    with pytest.raises(GpuError, match="without an answer"):
        await measure("cpu", None, 0.1, (sys.executable, "-c", "print('nonsense')"))
    with pytest.raises(GpuError, match="without an answer"):
        await measure("cpu", None, 0.1, (sys.executable, "-c", ""))
