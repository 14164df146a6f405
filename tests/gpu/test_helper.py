"""The helper process when it or its library misbehaves, and when the agent is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from node.errors import GpuError
from node.gpu import helper as helper_module
from node.gpu.helper import MOST_STUCK, DriverRefused, DriverSilent, Helper
from node.gpu.meter import metering
from node.gpu.nvidia import NvidiaProvider
from node.gpu.sampler import Sampler
from node.gpu.samples import Round, Sample
from node.retry import SystemClock
from tests.gpu.test_nvidia import DOUBLE, A, Make, device, make

__all__ = ["make"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def helpers() -> AsyncIterator[list[Helper]]:
    made: list[Helper] = []
    yield made
    for helper in made:
        await helper.aclose()


def answering(*lines: str) -> tuple[str, ...]:
    """A helper that answers each request with the next line, whatever was asked."""
    program = f"import sys\nfor line in {list(lines)!r}:\n sys.stdin.readline(); print(line, flush=True)"
    return (sys.executable, "-c", program)


@pytest.mark.parametrize(
    "line",
    ["", "nonsense", "1", "[]", "null", "{}", '{"id":9,"result":1}', '{"id":1}', '{"id":1,"error":5}',
     '{"id":1,"error":{}}', '{"id":1,"result":' + "[" * 20_000, "x" * (2 << 20)],
)  # fmt: skip
async def test_nonsense_is_an_error_of_ours_and_the_next_call_is_fresh(helpers: list[Helper], line: str) -> None:
    helper = Helper(answering(line), deadline=5.0)
    helpers.append(helper)
    with pytest.raises(GpuError):
        await helper.call("inventory")
    assert helper._process is None


async def test_a_helper_that_dies_is_started_again(make: Make) -> None:
    provider = make(device())
    await provider.inventory()
    for kill in (signal.SIGKILL, signal.SIGSEGV):
        process = provider._helper._process
        assert process is not None
        os.kill(process.pid, kill)
        await process.wait()
        assert len(await provider.inventory()) == 1


async def test_a_gpu_that_comes_back_is_seen_by_a_new_process(make: Make) -> None:
    provider = make(device(vram={"error": 15}))
    with pytest.raises(DriverRefused, match="lost"):
        await provider.inventory()
    Path(os.environ["NVML_DOUBLE"]).write_text(
        json.dumps({"driver": "590.1", "cuda": 13000, "devices": [device()], "init": None})
    )
    (gpu,) = await provider.inventory()
    assert gpu.driver == "590.1"


async def test_what_a_library_prints_is_no_answer(tmp_path: Path, make: Make) -> None:
    make(device())
    noisy = tmp_path / "noisy.py"
    noisy.write_text(
        "import os\n"
        "print('loading', flush=True)\n"
        'os.write(1, b\'{"id": 1, "result": []}\\n\')\n'
        + Path(DOUBLE).read_text().replace("from __future__ import annotations\n", "")
    )
    provider = NvidiaProvider(library=str(noisy))
    try:
        assert [gpu.uuid for gpu in await provider.inventory()] == [A]
    finally:
        await provider.aclose()


@pytest.mark.parametrize("how", ["b'H\\xff100'", "b'H\\xff100'.decode()", "'H\\udcff100'"])
async def test_a_name_that_is_no_utf_8(tmp_path: Path, make: Make, how: str) -> None:
    make(device())
    odd = tmp_path / "odd.py"
    odd.write_text(Path(DOUBLE).read_text() + f"\n\ndef nvmlDeviceGetName(device):\n    return {how}\n")
    provider = NvidiaProvider(library=str(odd))
    try:
        (gpu,) = await provider.inventory()
    finally:
        await provider.aclose()
    assert gpu.name.encode().decode().startswith("H")
    assert gpu.name.endswith("100")


async def test_only_so_many_processes_are_left_stuck_in_a_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a signal does not reach stays; here because none is sent."""
    monkeypatch.setattr(helper_module, "_kill", lambda _: None)
    helper = Helper((sys.executable, "-c", "import time; time.sleep(60)"), deadline=0.05, start_deadline=0.05)
    try:
        # On a busy machine a deadline may also pass before there is a process that could be stuck.
        while len(helper._abandoned) < MOST_STUCK:
            with pytest.raises(DriverSilent, match="did not answer within"):
                await helper.call("inventory")
        for _ in range(3):
            with pytest.raises(DriverSilent, match="cannot be ended"):
                await helper.call("inventory")
        assert len(helper._abandoned) == MOST_STUCK
        gone = helper._abandoned[0]
        gone.kill()
        await gone.wait()
        with pytest.raises(DriverSilent, match="did not answer within"):
            await helper.call("inventory")
    finally:
        for process in helper._abandoned:
            if process.returncode is None:
                process.kill()
        await helper.aclose()


AGENT = """
import asyncio, sys
from node.gpu.nvidia import NvidiaProvider

async def main():
    provider = NvidiaProvider(library=sys.argv[1], start_deadline=600.0)
    asking = asyncio.ensure_future(provider.inventory())
    while provider._helper._process is None:
        await asyncio.sleep(0.01)
    await asyncio.sleep(float(sys.argv[2]))
    print(provider._helper._process.pid, flush=True)
    await asking
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.parametrize("hangs", [True, False])
async def test_the_helper_does_not_outlive_a_killed_agent(
    make: Make, monkeypatch: pytest.MonkeyPatch, hangs: bool
) -> None:
    """Also not inside a driver call that never returns, where no end of its input can be noticed."""
    make(device(vram={"hang": True} if hangs else 1))
    agent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", AGENT, DOUBLE, "0.7", stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert agent.stdout is not None
    helper = int(await agent.stdout.readline())
    assert _alive(helper)
    agent.kill()
    await agent.wait()
    until = time.monotonic() + 5
    while _alive(helper) and time.monotonic() < until:
        await asyncio.sleep(0.02)
    assert not _alive(helper)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class _Full:
    """A disk that takes nothing."""

    def write(self, _data: bytes) -> int:
        raise OSError(28, "No space left on device")


async def test_samples_that_cannot_be_kept_do_not_end_the_job(tmp_path: Path) -> None:
    at = 0.0

    async def take(_uuids: tuple[str, ...]) -> Round:
        nonlocal at
        at += 1.0
        return Round((Sample(A, at, 0, round(at * 1000), 1, 1),))

    sampler = Sampler(take, SystemClock())

    (tmp_path / "file").write_text("in the way")
    async with metering(sampler, (A,), tmp_path / "file" / "x.jsonl", None) as meter:
        assert (await meter.reading()).joules == 1.0
    async with metering(sampler, (A,), tmp_path / "x.jsonl", None) as meter:
        file, meter._file = meter._file, _Full()  # type: ignore[assignment]
        assert (await meter.reading()).joules == 1.0
        assert (await meter.reading()).joules == 2.0
        assert file is not None
