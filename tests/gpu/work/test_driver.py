"""The engine through NVIDIA's real bindings and compiler, with a library of ours in the driver's place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.work.emulated import built

pytest.importorskip("cuda.bindings.driver", reason="needs pip install 'gpunode[cuda]'")

PROGRAM = """
import numpy as np
from node.errors import GpuError
from node.gpu.cuda import CudaDevice
from node.gpu.work.cpu import CpuEngine
from node.gpu.work.cuda import CudaEngine
from node.gpu.work.prover import open_rows, prove
from tests.gpu.work.examples import AFTER, CHALLENGE

device = CudaDevice("GPU-5a1c8a5e")
assert device.name == "a library in the driver's place", device.name
assert device.capability == (8, 0)
engine = CudaEngine(device)
done = prove(engine, CHALLENGE, size=256, rounds=2, openings=32)
assert done.kept == prove(CpuEngine(), CHALLENGE, size=256, rounds=2, openings=32).kept
open_rows(engine, done, *AFTER)
one, two = device.allocate(64), device.allocate(64)
device.upload(one, bytes(range(64)))
assert 0 <= device.timed(lambda: device.copy(two, one, 64)) < 1
assert bytes(device.download(two, 64)) == bytes(range(64))
engine.close()
try:
    device.allow_shared(engine._functions["leaves"], 1)
except GpuError as error:
    assert "CUDA_ERROR_INVALID_VALUE" in error.message, error.message
else:
    raise AssertionError("an error of the driver went unnoticed")
print("good")
"""


def test_the_engine_speaks_the_drivers_language(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").symlink_to(built(3, 0, "driver.cpp"))
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=150, check=False
    )
    assert done.stdout.strip() == "good", done.stderr[-2000:]
