"""The kernels compile for every architecture that they are meant for, with NVIDIA's own compiler; no GPU is needed."""

from __future__ import annotations

import pytest

from node.errors import GpuError
from node.gpu.cuda import CudaDevice, best_arch, compile_kernels
from node.gpu.work.cuda import stages

pytest.importorskip("cuda.bindings.nvrtc", reason="needs pip install 'gpunode[cuda]'")

WORK = ["sm_61", "sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120"]
KINDS = {0: "sm_75", 1: "sm_89", 2: "sm_80", 3: "sm_80", 4: "sm_80"}


@pytest.fixture(autouse=True)
def compiler() -> None:
    try:
        best_arch((8, 0))
    except (GpuError, RuntimeError) as error:
        pytest.skip(f"the compiler's library is missing: {error}")


@pytest.mark.parametrize("arch", WORK)
def test_the_work_compiles(arch: str) -> None:
    number = int(arch.removeprefix("sm_"))
    code = compile_kernels("work.cu", arch, {"STAGES": stages(divmod(number, 10))})
    assert code.startswith(b"\x7fELF")
    for name in ("keystream", "leaves", "nodes", "next_key", "next_state", "product_by_words"):
        assert f".text.{name}\0".encode() in code
    assert (b".text.product\0" in code) == (number >= 75)


@pytest.mark.parametrize("kind", KINDS)
def test_the_product_compiles_for_each_kind_of_number(kind: int) -> None:
    for arch in {KINDS[kind], "sm_90", "sm_120"}:
        code = compile_kernels("tile.cuh", arch, {"GPUNODE_KIND": kind, "STAGES": 2}, headers=())
        assert b".text.product\0" in code


def test_an_architecture_that_the_compiler_does_not_know_gets_ptx() -> None:
    assert best_arch((8, 6)) == "sm_86"
    newest = best_arch((99, 0))
    assert newest.startswith("compute_")
    assert b".entry product" in compile_kernels("work.cu", newest, {"STAGES": 3})
    with pytest.raises(GpuError, match="makes no code"):
        best_arch((1, 0))


def test_what_the_compiler_says_is_in_the_error() -> None:
    with pytest.raises(GpuError, match="does not compile for sm_80"):
        compile_kernels("work.cu", "sm_80", headers=())


def test_without_a_driver_there_is_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(GpuError) as caught:
        CudaDevice("GPU-none")
    assert "nvidia-smi" in caught.value.hint


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90"])
def test_what_the_ladder_needs_compiles(arch: str) -> None:
    code = compile_kernels("ladder.cu", arch, {"STAGES": 2})
    for name in ("product_fp32", "quantise", "worth", "rectify"):
        assert f".text.{name}\0".encode() in code
    assert b".text.product\0" in compile_kernels("tile.cuh", arch, {"GPUNODE_KIND": 2, "STAGES": 2}, headers=())
