"""The main job, end to end, on this machine: chain, market, host, poster, job, proof, pay.

Every step is the product's own command, run as a user would: the embedded chain and the agent are separate
processes, the poster posts with `gpunode job post`, the check at the end is `gpunode verify`. What is shown is read
from the chain, the agent and the checks; nothing here computes a figure that they could tell.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from node.api.client import ControlClient, NoAgent
from node.errors import LocalnetError
from node.localnet.command import Command, first_line, last_line
from node.localnet.images import definition, ensure_image

JOB_TIMEOUT = 300
"""Seconds the poster pays for at most; the rest of the deposit comes back."""
READY_SECONDS = 60.0
QUEUED_SECONDS = 90.0
JOB_SECONDS = 240.0
POLL_SECONDS = 0.1


class Screen(Protocol):
    """Where the demo says what happens."""

    def step(self, text: str) -> None:
        """A step begins."""
        ...

    def detail(self, text: str) -> None:
        """A fact about the step at hand."""
        ...

    def progress(self, text: str) -> None:
        """A passing line on long work; need not be kept."""
        ...


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What to run and where to keep it; `folder` None means a temporary one that is removed at the end."""

    job: str = "spam"
    country: str = "NL"
    folder: Path | None = None


@dataclass(slots=True)
class Demo:
    """One run of the demo. `summary` holds what is known so far."""

    plan: DemoPlan
    screen: Screen
    command: Command = field(default_factory=Command.isolated)

    async def run(self) -> dict[str, Any]:
        """Run it all and return the summary document. Raises GpunodeError when a step fails."""
        self.screen.step("Image of the demo job")
        began = time.monotonic()
        image = await ensure_image(self.plan.job, self.screen.progress)
        found = "built" if image.built else "found"
        self.screen.detail(f"{image.tag} {found} in {time.monotonic() - began:.1f} s")
        with _folder(self.plan.folder) as folder:
            async with self._chain(folder) as chain:
                return await self._host(folder, chain)

    @contextlib.asynccontextmanager
    async def _chain(self, folder: Path) -> AsyncIterator[dict[str, Any]]:
        self.screen.step("Embedded Solana chain with the market's programs")
        log = folder / "localnet.log"
        flags = ("--rpc-port", "0", "--content-port", "0", "--keys", str(folder / "chain-keys"), "--json")
        async with self.command.service("localnet", "start", *flags, log=log) as process:
            ready = await first_line(process, name="the embedded chain", log=log, timeout=READY_SECONDS)
            self.screen.detail(f"RPC {ready['rpc_url']}, content store {ready['content_url']}")
            self.screen.detail(f"market {ready['market']}, NOS mint {ready['mint']}")
            yield ready

    async def _host(self, folder: Path, chain: dict[str, Any]) -> dict[str, Any]:
        self.screen.step("This host: wallet, settings, SOL for fees")
        settings = folder / "node.yaml"
        made = await self.command.document(
            *("init", "--settings", str(settings), "--cluster", "localnet", "--country", self.plan.country),
            *("--market", chain["market"], "--rpc", chain["rpc_url"], "--content", chain["content_url"]),
            *("--wallet", str(folder / "host.json"), "--data", str(folder / "data")),
        )
        node = made["address"]
        faucet = ("localnet", "faucet", node, "--sol", "1", "--rpc", chain["rpc_url"])
        await self.command.document(*faucet)
        self.screen.detail(f"node {node}, 1 SOL from the faucet")

        self.screen.step("Agent: gpunode run")
        log = folder / "agent.log"
        async with (
            self.command.service("run", "--settings", str(settings), log=log) as process,
            ControlClient(folder / "data" / "control.sock") as agent,
        ):
            watcher = _Agent(agent, process, log)
            status = await watcher.queued()
            gpu = status["gpus"][0] if status["gpus"] else {}
            self.screen.detail(f"GPU {gpu.get('name')} ({gpu.get('uuid')}), provider {status['gpu_provider']}")
            if status["gpu_provider"] == "simulated":
                self.screen.detail("no NVIDIA GPU here: the provider is simulated, which only a localnet accepts")
            self.screen.detail("registered, staked, queued in the market")
            posted = await self._post(folder, chain)
            run = await self._follow(watcher, posted["job"])
            checked = await self._verify(chain, posted["job"])
            answers = await self._answers(chain, posted["job"])
        return {**_summary(chain, node, gpu, posted, run, checked), "answers": answers}

    async def _post(self, folder: Path, chain: dict[str, Any]) -> dict[str, Any]:
        self.screen.step("Poster: gpunode job post")
        file = folder / "job.json"
        file.write_text(json.dumps(definition(self.plan.job), indent=2))
        posted = await self.command.document(
            *("job", "post", str(file), "--market", chain["market"], "--timeout", str(JOB_TIMEOUT)),
            *("--wallet", chain["keys"]["poster"]["path"], "--rpc", chain["rpc_url"]),
            *("--content", chain["content_url"], "--cluster", "localnet"),
        )
        self.screen.detail(f"job {posted['job']}")
        self.screen.detail(f"definition {posted['definition_cid']}")
        return posted

    async def _follow(self, watcher: _Agent, job: str) -> dict[str, Any]:
        self.screen.step("The job runs in a container of its own")
        async for stage, run in watcher.stages(job):
            self.screen.detail(f"stage {stage}")
            if stage == "done":
                return run
        raise LocalnetError(f"job {job} was not settled in {JOB_SECONDS:.0f} s", hint=f"see {watcher.log}")

    async def _answers(self, chain: dict[str, Any], job: str) -> dict[str, Any]:
        """What the job's own output says, as the poster reads it from the result on the chain."""
        self.screen.step("Poster: gpunode job get")
        got = await self.command.document(
            *("job", "get", job, "--rpc", chain["rpc_url"], "--cluster", "localnet"),
            *("--content", chain["content_url"]),
        )
        states = (got.get("result") or {}).get("opStates") or []
        answers: dict[str, Any] = {}
        for state in states:
            for name, values in (state.get("results") or {}).items():
                answers[name] = values
                self.screen.detail(f"{name}: {values}")
        return answers

    async def _verify(self, chain: dict[str, Any], job: str) -> dict[str, Any]:
        self.screen.step("Anyone: gpunode verify")
        checked = await self.command.document(
            *("verify", job, "--rpc", chain["rpc_url"], "--gateway", f"{chain['content_url']}/ipfs/"),
            *("--cluster", "localnet"),
        )
        for check in checked["checks"]:
            self.screen.detail(f"{check['label']}: {check['name']}: {check['detail']}")
        return checked


@dataclass(frozen=True, slots=True)
class _Agent:
    """The agent process and its control socket."""

    client: ControlClient
    process: asyncio.subprocess.Process
    log: Path

    async def queued(self) -> dict[str, Any]:
        """The agent's document once its lane waits in the market's queue."""
        reason = "no answer yet"
        deadline = time.monotonic() + QUEUED_SECONDS
        while time.monotonic() < deadline:
            self._alive()
            with contextlib.suppress(NoAgent):
                status = await self.client.status()
                lane = status["lanes"][0]
                reason = lane["reason"]
                if lane["phase"] == "queued":
                    return status
                if lane["phase"] in ("degraded", "stopped"):
                    break
            await asyncio.sleep(POLL_SECONDS)
        raise LocalnetError(f"the agent did not reach the queue: {reason}", hint=f"see {self.log}")

    async def stages(self, job: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Each stage of the job as it is entered, with the run's document; ends after `done`."""
        seen: set[str] = set()
        deadline = time.monotonic() + JOB_SECONDS
        while time.monotonic() < deadline:
            self._alive()
            runs = [run for run in (await self.client.jobs())["jobs"] if run["job"] == job]
            if runs:
                entered = [*runs[0]["stages"], runs[0]["stage"]]
                for stage in entered:
                    if stage not in seen:
                        seen.add(stage)
                        yield stage, runs[0]
                if runs[0]["stage"] == "done":
                    return
            await asyncio.sleep(POLL_SECONDS)

    def _alive(self) -> None:
        if self.process.returncode is not None:
            raise LocalnetError(f"the agent ended: {last_line(self.log)}", hint=f"see {self.log}")


def _summary(
    chain: dict[str, Any],
    node: str,
    gpu: dict[str, Any],
    posted: dict[str, Any],
    run: dict[str, Any],
    checked: dict[str, Any],
) -> dict[str, Any]:
    settlement = run.get("settlement") or {}
    settled = settlement.get("kind") == "finish" and settlement.get("signature") is not None
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
        "pay": {"amount": settlement.get("pay", 0), "mint": chain["mint"]},
        "gpu": {name: gpu.get(name) for name in ("provider", "uuid", "name")},
        "stages": run["stages"],
        "verified": checked["verified"],
        "cause": run.get("cause"),
        "settle": settlement.get("kind"),
        "energy": run.get("energy"),
    }


@contextlib.contextmanager
def _folder(chosen: Path | None) -> Any:
    if chosen is not None:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen.absolute()
        return
    folder = Path(tempfile.mkdtemp(prefix="gpunode-demo-"))
    try:
        yield folder
    except BaseException:
        # The logs say why; keep them.
        raise
    else:
        shutil.rmtree(folder, ignore_errors=True)
