"""What commands show of GPU work proofs and precision ladders, and where a new ladder is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from node.cli import amounts, output

if TYPE_CHECKING:
    from node.api.client import ControlClient
    from node.settings import Settings

NOTHING: dict[str, Any] = {"work": [], "ladders": [], "joules_today": None, "daily_joules": None}


async def read_journal(settings: Settings, provider: str) -> dict[str, Any]:
    """What the journal says, while no agent runs. Raises JournalError where it cannot be read."""
    from node.api.documents import proofs_document
    from node.gpu.work.engine import pick_engine
    from node.journal.reader import JournalReader
    from node.records_proofs import ProofsKnown, WorkOutlook

    if not settings.locations.journal.is_file():
        return NOTHING
    wanted = settings.work_proof
    engine, why = pick_engine(wanted.engine, provider=provider, localnet=settings.cluster == "localnet")
    async with await JournalReader.open_readonly(settings.locations.journal) as journal:
        work = []
        for lane in settings.lanes:
            newest = await journal.work.newest(lane.name)
            due = None
            if engine is not None and newest is not None:
                due = newest.reference.made_ms / 1000 + wanted.interval * 3600
            work.append(WorkOutlook(lane.name, engine, f"{why}; no agent runs", False, due, newest))
        known = ProofsKnown(tuple(work), await journal.work.ladders(), None, wanted.daily_energy * 1000)
    return proofs_document(known)


async def require_rest(settings: Settings | None) -> None:
    """Raise ControlError where an agent serves jobs that a measurement would disturb."""
    from node.api.client import ControlClient, NoAgent

    if settings is None:
        return
    try:
        async with ControlClient(settings.locations.control_socket) as client:
            await client.require_rest()
    except NoAgent:
        return


async def keep_ladders(settings: Settings | None, bodies: list[bytes]) -> str | None:
    """Have them kept in the journal, by the agent where one runs; None, or why they are not."""
    from node.api.client import ControlClient, NoAgent
    from node.errors import GpunodeError
    from node.gpu.ladder.record import kept_ladder
    from node.journal.journal import Journal
    from node.journal.lock import claim

    if settings is None:
        return "there are no settings, and so no journal"
    try:
        try:
            async with ControlClient(settings.locations.control_socket) as client:
                await _hand_over(client, bodies)
        except NoAgent:
            with claim(settings.locations.journal):
                async with await Journal.open(settings.locations.journal) as journal:
                    for body in bodies:
                        await journal.work.add_ladder(kept_ladder(body))
    except GpunodeError as error:
        return error.line
    return None


async def _hand_over(client: ControlClient, bodies: list[bytes]) -> None:
    for body in bodies:
        await client.keep_ladder(body)


def show(known: dict[str, Any]) -> None:
    """For people."""
    for lane in known["work"]:
        _show_work(lane)
    used, budget = known["joules_today"], known["daily_joules"]
    if used is not None and budget:
        output.line(f"work proofs of 24 h: {used / 1000:.1f} of {budget / 1000:.1f} kJ")
    for ladder in known["ladders"]:
        _show_ladder(ladder)
    if not known["ladders"]:
        output.line("precision ladder: none measured; gpunode bench gpu")


def _show_work(lane: dict[str, Any]) -> None:
    output.line()
    output.heading(f"lane {lane['lane']}: work proof")
    made = lane["newest"]
    if made is None:
        output.line(f"none yet; {lane['why']}")
    else:
        joules = f"{made['joules']:.0f} J" + ("" if made["metered"] else " at most (not metered)")
        rate = made["rate"]
        told = "too short for a rate" if rate is None else f"at least {rate_text(rate)} int8, by the chain's clock"
        output.line(f"{amounts.moment(made['made_ms'] / 1000)}: {told}")
        output.line(f"engine {made['engine']}, {made['gpu']}, size {made['size']}, {made['rounds']} rounds, {joules}")
        output.line(f"document {made['cid']}, SHA-256 {made['sha256']}")
        output.line(lane["why"])
    if lane["running"]:
        output.line("one is being made now")
    elif lane["next_at"] is not None:
        output.line(f"next: {amounts.moment(lane['next_at'])}, if the lane is queued and idle then")


def _show_ladder(ladder: dict[str, Any]) -> None:
    document = ladder["document"]
    output.line()
    output.heading(f"precision ladder of {document['device']['name']}, {amounts.moment(ladder['measured_ms'] / 1000)}")
    rates = [
        f"{each['precision']} {rate_text(each['operationsPerSecond'])}"
        for each in document["products"]
        if each["operationsPerSecond"] is not None
    ]
    output.line(", ".join(rates) or "no products were measured")
    moved, model = document["bandwidth"]["bytesPerSecond"], document["model"]
    memory = "not measured" if moved is None else f"{moved / 1e9:,.1f} GB/s"
    gain = model.get("why")
    if gain is None:
        fp32, int8 = (each["latencyMicroseconds"] for each in model["variants"])
        gain = f"dynamic int8 {fp32 / max(int8, 1):.1f} times as fast as fp32"
    output.line(f"memory {memory}; model: {gain}")
    output.line(f"digest {ladder['digest']}")


def rate_text(operations: float) -> str:
    """Operations a second."""
    return f"{operations / 1e12:,.1f} TOP/s" if operations >= 1e12 else f"{operations / 1e9:,.1f} GOP/s"
