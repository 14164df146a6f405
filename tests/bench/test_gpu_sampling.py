"""The measurement of sampling GPUs, itself."""

from __future__ import annotations

from tests.bench.gpu_sampling import run


async def test_it_measures_what_it_says() -> None:
    one, three = await run(3, (1, 3))
    assert (one.gpus, three.gpus) == (1, 3)
    assert 0 < one.agent < 1000
    assert three.wall > 0
    assert 200 < one.line_bytes < 400
