"""Figures for a monitoring system: their text, and where it is served."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from node.agent.metrics import Metrics, exposition
from node.api.metrics import metrics_listener
from node.errors import ControlError, JournalError
from node.journal.journal import Journal
from node.journal.totals import JobTotal, Totals
from node.records import EndCause, Outcome, SettleKind, Settlement, Stage
from node.settings_metrics import MetricsSettings, address_of
from tests.api.double import NOW, DoublePort
from tests.journal.samples import assignment

TOTALS = Totals((JobTotal('a"b\\', "completed", 3, 1_500_000),), 2)


async def test_the_figures(tmp_path: Path) -> None:
    async def totals() -> Totals:
        return TOTALS

    text = await Metrics(DoublePort(), totals, tmp_path, lambda: 1000.0).text()
    lines = text.splitlines()
    for expected in (
        'gpunode_info{version="0.1.0",cluster="localnet",gpu_provider="simulated"} 1',
        "gpunode_up_seconds 100",
        'gpunode_lane_phase{lane="main",phase="working"} 1',
        'gpunode_lane_phase{lane="main",phase="queued"} 0',
        'gpunode_jobs_total{lane="a\\"b\\\\",end="completed"} 3',
        'gpunode_pay_nos_total{lane="a\\"b\\\\",end="completed"} 1.5',
        'gpunode_job_leg_seconds{leg="run",quantile="0.95"} 2',
        "gpunode_outbox_sending 2",
        'gpunode_gpu_temperature_celsius{gpu="GPU-1"} 71',
    ):
        assert expected in lines, text
    assert any(line.startswith("gpunode_data_disk_free_bytes ") for line in lines)
    assert not any('leg="queue"' in line for line in lines)  # no run tells: left out, not zero
    assert len({line for line in lines if line.startswith("# TYPE")}) == sum(
        line.startswith("# TYPE") for line in lines
    )


async def test_what_a_gpu_does_not_tell_is_left_out() -> None:
    port = DoublePort()
    silent = type(NOW)("GPU-2", time_ms=None)
    text = exposition(await port.status(), await port.latency(0.0), Totals((), 0), (silent,), 1, 1000.0)
    assert "gpunode_gpu_" not in text
    assert "gpunode_jobs_total" not in text


async def test_served_on_loopback_and_nothing_else() -> None:
    broken = False

    async def text() -> str:
        if broken:
            raise JournalError("the disk is gone")
        return "figure 1\n"

    async with metrics_listener(text, "127.0.0.1", 0) as port, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://127.0.0.1:{port}"
        answer = await client.get(f"{url}/metrics")
        assert (answer.status_code, answer.text) == (200, "figure 1\n")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert (await client.get(f"{url}/")).status_code == 404
        assert (await client.post(f"{url}/metrics")).status_code == 405
        broken = True
        assert (await client.get(f"{url}/metrics")).status_code == 503
        with pytest.raises(ControlError, match="cannot be served"):
            async with metrics_listener(text, "127.0.0.1", port):
                pass


@pytest.mark.parametrize("listen", ["9464", "0.0.0.0:9464", "10.0.0.1:1", "localhost:1", "127.0.0.1:0", "127.0.0.1:x"])
def test_only_an_address_of_this_machine(listen: str) -> None:
    with pytest.raises(ValidationError):
        MetricsSettings(listen=listen)


def test_addresses() -> None:
    assert address_of("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert address_of("[::1]:9464") == ("::1", 9464)


async def test_totals_of_a_journal(tmp_path: Path) -> None:
    async with await Journal.open(tmp_path / "j") as journal:
        for number, kind in enumerate((SettleKind.FINISH, SettleKind.FINISH, SettleKind.QUIT), 1):
            a = assignment(number)
            await journal.begin_job(a)
            if kind is SettleKind.FINISH:
                outcome = Outcome(a.job.address, EndCause.COMPLETED, 1, 2, ())
                await journal.finish_stage(a.run.address, Stage.RUN, outcome, Stage.REPORT)
            await journal.settle(a.run.address, Settlement(a.job.address, kind, None, 1, 10 * number, None, "", 0))
        assert await journal.totals() == Totals(
            (JobTotal("main", "completed", 2, 30), JobTotal("main", "quit", 1, 30)), 0
        )
