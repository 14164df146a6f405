"""The known escapes as rows of `gpunode doctor`."""

from __future__ import annotations

from datetime import date, timedelta

from node.agent.escapes.catalog import Catalog, Component
from node.agent.escapes.gate import Sources, advice, names, open_gate
from node.agent.escapes.judgement import Judgement
from node.agent.finding import Finding
from node.container.docker import DockerEngine
from node.errors import GpunodeError
from node.records import Gpu
from node.settings import Settings

OLD = timedelta(days=270)
"""A list that has not been brought up to date for longer is pointed out."""


async def examine_escapes(settings: Settings, gpus: tuple[Gpu, ...]) -> tuple[Finding, ...]:
    """One row on the list, and one per component."""
    engine = DockerEngine(settings.engine.socket)

    async def given() -> tuple[Gpu, ...]:
        return gpus

    gate = open_gate(settings, Sources(engine.info, given))
    try:
        found = await gate.judgements()
    except GpunodeError as error:
        return (Finding("escapes", None, f"not looked at: {error.message}", error.hint),)
    finally:
        await engine.aclose()
    return rows(gate.known, found, frozenset(settings.security.accept), date.today())


def rows(
    known: Catalog, judgements: tuple[Judgement, ...], accepted: frozenset[str], today: date
) -> tuple[Finding, ...]:
    """The list and the judgements for people; `accepted`: what the settings accept."""
    is_old = today - known.date > OLD
    found = [
        Finding(
            "known escapes",
            None if is_old else True,
            f"{len(known.entries)} on the list of {known.date.isoformat()}",
            "update gpunode: newer escapes are not on the list" if is_old else "",
        ),
        *(_row(each) for each in judgements),
    ]
    strange = sorted(accepted - known.names())
    if strange:
        found.append(Finding("security.accept", None, f"not on the list: {', '.join(strange)}", "correct or remove it"))
    return tuple(found)


def _row(judgement: Judgement) -> Finding:
    installed = judgement.installed
    name = f"escapes: {judgement.component.label}"
    if installed.version is None:
        return Finding(name, None, f"its version cannot be told ({installed.told_by})", _by_hand(judgement.component))
    told = f"{judgement.name} ({installed.told_by})"
    if judgement.blocking:
        titles = "; ".join(f"{entry.id} {entry.title}" for entry in judgement.blocking)
        return Finding(name, False, f"{told} is open to {titles}", advice(judgement))
    notes = []
    if judgement.accepted:
        notes.append(f"accepted: {names(judgement.accepted)}")
    if judgement.out_of_reach:
        notes.append(f"not within a job's reach: {names(judgement.out_of_reach)}")
    if judgement.unknown:
        seen = f"{told} may be open to {names(judgement.unknown)}: its package does not tell which fixes it carries"
        return Finding(name, None, seen, "see the distribution's security notes, or install a newer release")
    return Finding(name, True, "; ".join((f"{told} is open to nothing on the list that a job could use", *notes)))


def _by_hand(component: Component) -> str:
    commands = {
        Component.TOOLKIT: "nvidia-ctk --version",
        Component.DRIVER: "nvidia-smi",
        Component.RUNC: "runc --version",
        Component.CONTAINERD: "containerd --version",
    }
    return f"see {commands.get(component, 'docker version')} on the engine's host, and the list in the manual"
