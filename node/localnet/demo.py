"""The main job, end to end, on this machine: chain, market, host, poster, job, proof, pay.

Every step is the product's own command, run as a user would: the embedded chain and the agent are separate
processes, the poster posts with `gpunode job post`, the check at the end is `gpunode verify`. What is shown is read
from the chain, the agent and the checks; nothing here computes a figure that they could tell.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from node.api.client import ControlClient
from node.errors import GpunodeError, LocalnetError
from node.localnet.command import Command, first_line
from node.localnet.demo_bundle import leave_bundle, target_of
from node.localnet.demo_proof import await_proof, proving
from node.localnet.demo_summary import summary
from node.localnet.images import ensure_image
from node.localnet.leftovers import remove_leftovers
from node.localnet.ports import free_port
from node.localnet.recipes import definition, exposes
from node.localnet.spectator import Spectator, StageEntered
from node.localnet.visit import Reach, visit

JOB_TIMEOUT = 300
"""Seconds the poster pays for at most; the rest of the deposit comes back."""
READY_SECONDS = 60.0
LINES_SHOWN = 6
"""Lines of the job's output that stay on the screen; the rest passes by."""


LONGEST_SOCKET = 100
"""Bytes of a unix socket's path; the kernel takes a few more."""


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
    """What to run and where to keep it; `folder` None means a temporary one that is removed when all went well."""

    job: str = "spam"
    country: str = "NL"
    folder: Path | None = None
    bundle: Path | None = None
    """Where the job's bundle goes; None: none is made."""
    proof: bool = False
    """Whether a work proof is made before the job."""


@dataclass(slots=True)
class Demo:
    """One run of the demo. `summary` holds what is known so far."""

    plan: DemoPlan
    screen: Screen
    command: Command = field(default_factory=Command.isolated)

    async def run(self) -> dict[str, Any]:
        """Run it all and return the summary document. Raises GpunodeError when a step fails."""
        target = target_of(self.plan.bundle)
        self.screen.step("Image of the demo job")
        image = await ensure_image(self.plan.job, self.screen.progress)
        found = "built" if image.built else "found"
        self.screen.detail(f"{image.tag} {found} in {image.seconds:.1f} s")
        with _workplace(self.plan.folder) as place:
            async with self._chain(place.folder) as chain:
                summary = await self._host(place.folder, chain, target)
            place.wanted = place.wanted or not summary["ok"]
            return {**summary, "folder": str(place.folder) if place.wanted else None}

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

    async def _host(self, folder: Path, chain: dict[str, Any], target: Path | None) -> dict[str, Any]:
        self.screen.step("This host: wallet, settings, SOL for fees")
        settings = folder / "node.yaml"
        made = await self.command.document(
            *("init", "--settings", str(settings), "--cluster", "localnet", "--country", self.plan.country),
            *("--market", chain["market"], "--rpc", chain["rpc_url"], "--content", chain["content_url"]),
            *("--wallet", str(folder / "host.json"), "--data", str(folder / "data")),
        )
        node = made["address"]
        if made["packet_filter"] == "off":
            self.screen.detail(
                f"packet filter off, as only a localnet's settings should: {made['packet_filter_reason']}"
            )
        await self.command.document("localnet", "faucet", node, "--sol", "1", "--rpc", chain["rpc_url"])
        self.screen.detail(f"node {node}, 1 SOL from the faucet")
        async with self._packet_filter(settings, made["packet_filter"] == "required"):
            try:
                return await self._serve(folder, settings, chain, node, target)
            finally:
                # An agent that is told to stop leaves its containers to the next start; here there is none.
                for name in await remove_leftovers(node):
                    self.screen.detail(f"removed {name}")

    @contextlib.asynccontextmanager
    async def _packet_filter(self, settings: Path, wanted: bool) -> AsyncIterator[None]:
        """The agent loads the rules that keep jobs off this host's network; those that were not there go again."""
        where = ("--settings", str(settings))
        loaded = wanted and (await self.command.document("firewall", "install", *where))["loaded"]
        if wanted:
            self.screen.detail("packet filter in place: jobs reach neither this host nor its network")
        try:
            yield
        finally:
            if loaded:
                with contextlib.suppress(LocalnetError):  # another agent's jobs need them now
                    await self.command.document("firewall", "remove", *where)

    async def _serve(
        self, folder: Path, settings: Path, chain: dict[str, Any], node: str, target: Path | None
    ) -> dict[str, Any]:
        self.screen.step("Agent: gpunode run")
        log = folder / "agent.log"
        port = free_port()
        with _control_socket(folder) as socket:
            command = proving(self.command.given("GPUNODE_PATHS__CONTROL_SOCKET", str(socket)), self.plan.proof)
            if exposes(self.plan.job):
                self.screen.detail(f"services of jobs at port {port} of this host")
                command = command.given("GPUNODE_SERVICE__TUNNEL", "direct").given("GPUNODE_SERVICE__PORT", str(port))
            async with (
                command.service("run", "--settings", str(settings), log=log) as process,
                ControlClient(socket) as agent,
            ):
                found = await self._work(folder, chain, node, Spectator(agent, process, log), port)
                if target is None:
                    return {**found, "bundle": None}
                bundle = await leave_bundle(command, settings, found["job"], target, self.screen)
                return {**found, "ok": found["ok"] and bundle["ok"], "bundle": bundle}

    async def _work(
        self, folder: Path, chain: dict[str, Any], node: str, spectator: Spectator, port: int
    ) -> dict[str, Any]:
        status = await spectator.queued(self.screen.progress)
        gpu = status["gpus"][0] if status["gpus"] else {}
        self.screen.detail(f"GPU {gpu.get('name')} ({gpu.get('uuid')}), provider {status['gpu_provider']}")
        if status["gpu_provider"] == "simulated":
            self.screen.detail("no NVIDIA GPU here: the provider is simulated, which only a localnet accepts")
        self.screen.detail("registered, staked, queued in the market")
        proof = await await_proof(spectator.client, self.screen) if self.plan.proof else None
        posted = await self._post(folder, chain)
        if exposes(self.plan.job):
            run, service = await self._follow_visited(spectator, folder, chain, posted["job"], port)
        else:
            run, service = await self._follow(spectator, posted["job"]), None
        found = await self._result(chain, posted["job"])
        checked = await self._verify(chain, posted["job"])
        energy = await self._energy(chain, run)
        return {
            **summary(self.plan.job, chain, node, gpu, posted, run, checked),
            "energy": energy,
            "service": service,
            "work": proof,
            **found,
        }

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

    async def _follow(self, spectator: Spectator, job: str) -> dict[str, Any]:
        self.screen.step("The job runs in a container of its own")
        run: dict[str, Any] = {}
        lines = 0
        async for event in spectator.follow(job):
            if isinstance(event, StageEntered):
                run = event.run
                if event.stage == "report" and lines > LINES_SHOWN:
                    self.screen.detail(f"  │ … and {lines - LINES_SHOWN} more lines")
                self.screen.detail(f"stage {event.stage}")
            else:
                lines += 1
                show = self.screen.detail if lines <= LINES_SHOWN else self.screen.progress
                show(f"  │ {event.text}")
        return run

    async def _follow_visited(
        self, spectator: Spectator, folder: Path, chain: dict[str, Any], job: str, port: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Follow a job that serves until it is told to stop: its poster visits the service, then ends the job."""
        reach = await self._reach(folder, job, port)
        self.screen.detail(f"service {reach.url}")

        found: list[dict[str, Any]] = []

        async def visited() -> None:
            found.append(await visit(reach, self.screen.detail, self.screen.progress))
            self.screen.step("Poster: gpunode job stop")
            ended = await self.command.document(
                *("job", "stop", job, "--wallet", chain["keys"]["poster"]["path"]),
                *("--rpc", chain["rpc_url"], "--cluster", "localnet"),
            )
            self.screen.detail(f"{ended['did']}: {ended['signature']}")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(visited())
                run = await self._follow(spectator, job)
                if not found:
                    reason = run.get("refusal") or run.get("cause") or "no reason known"
                    raise LocalnetError(
                        f"the job ended before its service answered: {reason}", hint="see the agent's log"
                    )
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None  # the other of the two was only cancelled for it
        return run, found[0]

    async def _reach(self, folder: Path, job: str, port: int) -> Reach:
        """Where the job's first service is, as anybody can work it out from the definition and the job's address."""
        plan = await self.command.document("job", "plan", str(folder / "job.json"), "--job", job)
        url = f"http://{plan['services'][0]['service_id']}.localhost:{port}"
        return Reach(url, f"127.0.0.1:{port}")

    async def _result(self, chain: dict[str, Any], job: str) -> dict[str, Any]:
        """What the job's own output says, as the poster reads it from the result on the chain."""
        self.screen.step("Poster: gpunode job get")
        got = await self.command.document(
            *("job", "get", job, "--rpc", chain["rpc_url"], "--cluster", "localnet"),
            *("--content", chain["content_url"]),
        )
        result = got.get("result") or {}
        answers: dict[str, Any] = {}
        for state in result.get("opStates") or []:
            self.screen.detail(
                f"operation {state['operationId']}: {state['status']}, exit code {state['exitCode']}, "
                f"{len(state['logs'])} log entries"
            )
            answers.update(state.get("results") or {})
        return {"answers": answers}

    async def _verify(self, chain: dict[str, Any], job: str) -> dict[str, Any]:
        self.screen.step("Anyone: gpunode verify")
        checked = await self.command.document(
            *("verify", job, "--rpc", chain["rpc_url"], "--gateway", f"{chain['content_url']}/ipfs/"),
            *("--cluster", "localnet"),
        )
        labels = Counter(check["label"].replace("_", " ") for check in checked["checks"])
        failed = sum(check["ok"] is False for check in checked["checks"])
        counts = ", ".join(f"{count} {label}" for label, count in labels.items())
        self.screen.detail(f"{len(checked['checks'])} lines: {counts}; {failed} failed")
        return checked

    async def _energy(self, chain: dict[str, Any], run: dict[str, Any]) -> dict[str, Any] | None:
        """What the signed receipt says of energy: `joules` (None: not metered) and `source`; None without a receipt."""
        if not run.get("receipt_cid"):
            return None
        url = f"{chain['content_url']}/ipfs/{run['receipt_cid']}"
        async with httpx.AsyncClient(trust_env=False) as client:
            try:
                answer = (await client.get(url)).raise_for_status().json()
            except (httpx.HTTPError, ValueError) as error:
                raise LocalnetError(f"the receipt cannot be read at {url}: {error}") from None
        stated = json.loads(base64.b64decode(answer["payload"]))["predicate"]["energy"]
        if stated is None:
            return None
        spent = stated["millijoules"]
        return {"joules": None if spent is None else spent / 1000, "source": stated["source"]}


@dataclass(slots=True)
class _Workplace:
    """Where keys, logs and journal go; removed at the end unless `wanted`."""

    folder: Path
    wanted: bool


@contextlib.contextmanager
def _workplace(chosen: Path | None) -> Iterator[_Workplace]:
    """A folder for one run. What a failed run leaves says why it failed, so it stays and is named."""
    place = _Workplace(_made(chosen), wanted=chosen is not None)
    try:
        yield place
    except GpunodeError as error:
        place.wanted = True
        hint = f"{error.hint}; " if error.hint else ""
        error.hint = f"{hint}logs and journal of this run are kept in {place.folder}"
        raise
    finally:
        if not place.wanted:
            shutil.rmtree(place.folder, ignore_errors=True)


@contextlib.contextmanager
def _control_socket(folder: Path) -> Iterator[Path]:
    """A path for the agent's socket: in the folder, or in a short one of its own where the folder's is too long."""
    inside = folder / "control.sock"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET:
        yield inside
        return
    # Made with mode 0700 and under a name of its own; a socket's path must be short.
    shortest = "/tmp"  # noqa: S108  # nosec B108
    with tempfile.TemporaryDirectory(prefix="gpunode-", dir=shortest) as short:
        yield Path(short) / "control.sock"


def _made(chosen: Path | None) -> Path:
    if chosen is None:
        return Path(tempfile.mkdtemp(prefix="gpunode-demo-"))
    folder = chosen.expanduser().absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise LocalnetError(f"{folder} is not empty", hint="name a folder that is, or that does not exist yet")
    except OSError as error:
        raise LocalnetError(f"{folder} cannot be used: {error.strerror}", hint="choose another folder") from None
    return folder
