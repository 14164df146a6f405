"""What a demo tells at its end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from node.localnet.recipes import definition, exposes


def found_matches(job: str, answers: Mapping[str, Any]) -> dict[str, list[str]]:
    """The whole matches of each of the job's result patterns, without their groups.

    The network's result documents put every match and its groups into one flat list; the definition tells them apart.
    """
    found: dict[str, list[str]] = {}
    for operation in definition(job)["ops"]:
        for name, rule in (operation.get("results") or {}).items():
            values = answers.get(name)
            step = re.compile(rule if isinstance(rule, str) else rule["regex"]).groups + 1
            found[name] = [str(value) for value in values[::step]] if isinstance(values, list) else [str(values)]
    return found


def summary(
    name: str,
    chain: dict[str, Any],
    node: str,
    gpu: dict[str, Any],
    posted: dict[str, Any],
    run: dict[str, Any],
    checked: dict[str, Any],
) -> dict[str, Any]:
    """The demo's document, from what chain, agent and checks said of the run of the built-in job `name`."""
    settlement = run.get("settlement") or {}
    # A job that serves never ends by itself: it is done when its poster ends it, and its result completes it.
    wanted = ("complete", "stopped") if exposes(name) else ("finish", "completed")
    settled = (settlement.get("kind"), run["cause"]) == wanted and settlement.get("signature") is not None
    return {
        "ok": bool(settled and settlement.get("pay") and checked["ok"]),
        "cluster": chain["cluster"],
        "programs": chain["programs"],
        "market": chain["market"],
        "node": node,
        "job": posted["job"],
        "run": run["run"],
        "definition_cid": posted["definition_cid"],
        "result_cid": run["result_cid"],
        "receipt_cid": run["receipt_cid"],
        "settle_signature": settlement.get("signature"),
        "pay": {"amount": settlement.get("pay") or 0, "mint": chain["mint"]},
        "gpu": {name: gpu.get(name) for name in ("provider", "uuid", "name")},
        "stages": run["stages"],
        "verified": checked["verified"],
        "checks": checked["checks"],
        "cause": run.get("cause"),
        "refusal": run.get("refusal"),
        "settle": settlement.get("kind"),
    }
