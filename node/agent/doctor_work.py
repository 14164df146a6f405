"""The doctor's row on GPU work proofs: whether any are made, by what, and within which energy."""

from __future__ import annotations

from importlib import import_module

from node.agent.finding import Finding
from node.gpu.work.engine import has_cuda, pick_engine
from node.settings import Settings

NAME = "work proof"
_EXTRA = "pip install 'gpunode[cuda]'"


def work_finding(settings: Settings, provider: str | None) -> Finding:
    """One row; `provider`: of the host's GPUs, None where they cannot be looked at. Changes nothing."""
    wanted = settings.work_proof
    if wanted.engine == "off":
        return Finding(NAME, True, "none are made: work_proof.engine is off")
    if wanted.daily_energy <= 0:
        return Finding(NAME, True, "none are made: work_proof.daily_energy is 0")
    if provider is None:
        return Finding(NAME, None, "not looked at: the GPUs could not be", "see the row on GPUs")
    engine, why = pick_engine(wanted.engine, provider=provider, localnet=settings.cluster == "localnet")
    if engine == "cuda" and not has_cuda():
        return Finding(NAME, False, f"{why}, and the extra cuda is not installed", _EXTRA)
    if engine is None:
        # Jobs are done without it: receipts then name no proof.
        return Finding(NAME, None, f"none are made: {why}", _EXTRA if provider == "nvidia" else "")
    cost = f"{wanted.seconds:g} s each {wanted.interval:g} h, at most {wanted.daily_energy:g} kJ a day"
    compiler = ""
    if engine == "cuda":
        version = _compiler()
        if version is None:
            return Finding(NAME, False, "NVRTC, which compiles its kernels, cannot be loaded", _EXTRA)
        compiler = f", NVRTC {version}"
    return Finding(NAME, True, f"engine {engine}{compiler} ({why}); {cost}")


def _compiler() -> str | None:
    """NVRTC's version; None where it cannot be loaded."""
    try:
        status, major, minor = import_module("cuda.bindings.nvrtc").nvrtcVersion()
    except Exception:  # whatever the binding raises where its library is not there
        return None
    return f"{major}.{minor}" if int(status) == 0 else None
