"""The doctor's row on work proofs."""

from __future__ import annotations

import pytest

from node.agent import doctor_work
from node.agent.doctor_work import work_finding
from node.settings import Settings
from tests.agent.doubles import MARKET


def settings(cluster: str = "mainnet", **work_proof: object) -> Settings:
    tree = {
        "cluster": cluster,
        "rpc": {"urls": ["http://127.0.0.1:1"]},
        "host": {"country": "NL"},
        "lanes": [{"name": "main", "wallet": "/nowhere/node.json", "market": MARKET}],
        "work_proof": work_proof,
    }
    return Settings.model_validate(tree)


@pytest.mark.parametrize(
    ("work_proof", "cluster", "provider", "installed", "version", "ok", "seen", "fix"),
    [
        ({"engine": "off"}, "mainnet", "nvidia", True, "12.8", True, "work_proof.engine is off", ""),
        ({"daily_energy": 0}, "mainnet", "nvidia", True, "12.8", True, "daily_energy is 0", ""),
        ({}, "mainnet", None, True, "12.8", None, "not looked at", "GPUs"),
        ({}, "mainnet", "nvidia", False, None, None, "gpunode[cuda]", "pip install"),
        ({"engine": "cuda"}, "mainnet", "nvidia", False, None, False, "not installed", "pip install"),
        ({}, "mainnet", "nvidia", True, None, False, "NVRTC", "pip install"),
        ({}, "mainnet", "nvidia", True, "12.8", True, "engine cuda, NVRTC 12.8", ""),
        ({}, "localnet", "simulated", False, None, True, "engine cpu", ""),
        ({}, "localnet", "simulated", False, None, True, "15 s each 6 h, at most 40 kJ a day", ""),
        ({}, "mainnet", "simulated", False, None, None, "there is no NVIDIA GPU", ""),
    ],
)  # fmt: skip
def test_the_row(
    monkeypatch: pytest.MonkeyPatch,
    work_proof: dict[str, object],
    cluster: str,
    provider: str | None,
    installed: bool,
    version: str | None,
    ok: bool | None,
    seen: str,
    fix: str,
) -> None:
    monkeypatch.setattr(doctor_work, "has_cuda", lambda: installed)
    monkeypatch.setattr("node.gpu.work.engine.has_cuda", lambda: installed)
    monkeypatch.setattr(doctor_work, "_compiler", lambda: version)
    found = work_finding(settings(cluster, **work_proof), provider)
    assert found.ok is ok
    assert seen in found.seen
    assert fix in found.fix
