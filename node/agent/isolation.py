"""Whether this host's engine can keep jobs inside as the settings ask, and what of that the operator has let go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from node.agent.health.probes import Probe
from node.agent.health.verdict import WELL, Look
from node.container import gvisor
from node.container.engine import EngineInfo
from node.container.traits import is_confined, security_option
from node.errors import ContainerError, EngineUnavailable, LaneDegraded
from node.records import DRIVER_CAPABILITIES, Egress, Gpu, HealthState, IsolationProfile, Plan, Relaxation
from node.settings import Settings


def hindrance(settings: Settings, info: EngineInfo) -> LaneDegraded | None:
    """Why no job can be taken on this engine, if so."""
    wanted = {"engine.runtime": settings.engine.runtime}
    for number, rule in enumerate(settings.policy.isolation):
        if rule.runtime is not None:
            wanted[f"policy.isolation.{number}.runtime"] = rule.runtime
    for setting, runtime in wanted.items():
        if runtime not in info.runtimes:
            return LaneDegraded(
                f"the container engine has no runtime {runtime!r} (it has: {', '.join(info.runtimes)})",
                hint=f"add it to the engine's daemon.json and restart the engine, or set {setting}",
            )
    if settings.network.filter == "required" and security_option(info, "rootless") is not None:
        return LaneDegraded(
            "the container engine is rootless: its bridges are where the packet filter does not see them",
            hint="use the system's engine (engine.socket), or network.filter: off where only your own jobs run",
        )
    if not is_confined(info) and not settings.engine.allow_unconfined:
        return LaneDegraded(
            "the container engine does not filter system calls (seccomp): a job would have the whole kernel before it",
            hint="remove seccomp-profile from the engine's settings, or use a kernel with seccomp; "
            "engine.allow_unconfined serves all the same",
        )
    return None


class Informed(Protocol):
    """An engine that says what it is."""

    async def info(self) -> EngineInfo:
        """Raises EngineUnavailable or EngineRejected."""
        ...


@dataclass(frozen=True, slots=True)
class IsolationProbe(Probe):
    """Looks whether the engine still keeps jobs as it did when the lane joined: it may have been set up anew."""

    settings: Settings
    engine: Informed

    async def look(self) -> Look:
        """What the engine says of itself now."""
        try:
            found = hindrance(self.settings, await self.engine.info())
        except EngineUnavailable:
            return WELL  # the engine's own look says so
        except ContainerError as error:
            return Look(HealthState.UNKNOWN, error.message, error.hint)
        return WELL if found is None else Look(HealthState.FAILING, found.message, found.hint)


@dataclass(frozen=True, slots=True)
class GpuRuntimes:
    """Whether the runtimes jobs run on can give them the GPUs."""

    engine: Informed

    async def trouble(self, runtime: str, gpus: tuple[Gpu, ...]) -> str:
        """Why this runtime cannot give these GPUs; empty: it can. Raises EngineUnavailable or EngineRejected."""
        real = [gpu for gpu in gpus if gpu.provider == "nvidia"]
        if runtime != gvisor.RUNTIME or not real:
            return ""
        return await gvisor.gpu_refusal(await self.engine.info(), [gpu.driver for gpu in real])

    async def refusal(self, plan: Plan, gpus: tuple[Gpu, ...]) -> str:
        """Why a plan cannot run with these GPUs; empty: it can. An engine that does not answer is no reason."""
        for container in plan.containers:
            mine = tuple(gpu for gpu in gpus if gpu.uuid in container.gpu_uuids)
            try:
                trouble = await self.trouble(container.runtime, mine)
            except EngineUnavailable:
                continue
            except ContainerError as error:
                trouble = error.message
            if trouble:
                return f"the job is to run on {container.runtime} with a GPU: {trouble}"
        return ""


def relaxations(settings: Settings) -> tuple[Relaxation, ...]:
    """The settings in force that keep jobs less strictly than this agent does by itself."""
    engine, limits = settings.engine, settings.limits
    accepted = ", ".join(settings.security.accept)
    more = ", ".join(each for each in settings.gpu.capabilities if each not in DRIVER_CAPABILITIES)
    found = [
        (settings.network.filter == "off", "network.filter", "jobs reach whatever this host reaches, its LAN too"),
        (
            settings.api.auth == "compatible" and settings.api.messages == "any",
            "api.messages",
            "whatever a job's owner has ever signed for anything opens their jobs here",
        ),
        (engine.allow_unconfined, "engine.allow_unconfined", "jobs run even where no system call is filtered"),
        (not limits.disk_most_bytes, "limits.disk_most", "a job may write until the disk has only disk_free left"),
        (not limits.inodes, "limits.inodes", "a job may make any number of files"),
        (bool(accepted), "security.accept", f"jobs are taken even where this host is open to {accepted}"),
        (bool(more), "gpu.capabilities", f"jobs with a GPU see more of its driver than they need to compute: {more}"),
    ]
    for number, rule in enumerate(settings.policy.isolation):
        whose = ", ".join((*rule.posters, *rule.images)) or "everybody"
        name = f"policy.isolation.{number}"
        weaker = rule.profile is IsolationProfile.STANDARD and engine.profile is IsolationProfile.SEALED
        found.append((weaker, f"{name}.profile", f"capabilities are given back to jobs of {whose}"))
        wider = rule.egress is Egress.OPEN and settings.network.egress is not Egress.OPEN
        found.append((wider, f"{name}.egress", f"jobs of {whose} reach the whole internet"))
        bare = rule.runtime == "runc" and engine.runtime == gvisor.RUNTIME
        found.append((bare, f"{name}.runtime", f"jobs of {whose} run on the host's own kernel"))
    return tuple(Relaxation(setting, meaning) for active, setting, meaning in found if active)
