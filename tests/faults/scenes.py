"""The reference scenarios: what happens to one job, from an agent at rest to an agent at rest.

Each is written so that it comes to its end whenever the agent is killed on the way: the poster acts on what the chain
shows, and the operator's words are said until an agent has heard them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import docker.errors
from solders.keypair import Keypair

from node.container.engine import JOB_LABEL, NODE_LABEL, OPERATION_LABEL
from node.job.plan import container_name, network_name
from node.market.poster import Phase, Posted
from node.records import Address, JobState
from tests.e2e.market_place import single
from tests.faults.proofs import MAKING, examine_work, newest_proof
from tests.faults.shop import DENIED_IMAGE, Shop

SHORT = "echo one; sleep 0.3; echo two"
LINES = ["one\n", "two\n"]


@dataclass(frozen=True, slots=True)
class Expected:
    """What must have become of one job."""

    settles: tuple[str, ...]
    """Kinds of which exactly one has landed; empty: none may."""
    lines: list[str] | None = None
    """Log lines of the result, each exactly once; None: not looked at."""
    most_starts: int = 1


@dataclass(frozen=True, slots=True)
class Told:
    """A job, and what must have become of it."""

    posted: Posted
    expected: Expected


@dataclass
class Scene:
    """One scenario: what the world does, and what must come of it."""

    name: str
    play: Callable[[Shop], Awaitable[list[Told]]]


async def settled(shop: Shop, posted: Posted) -> None:
    """Until the chain shows the job's end."""

    async def over() -> bool:
        view = await shop.place.poster.view(posted.job)
        if view.run is not None or view.job.state is JobState.QUEUED:
            return False
        if view.job.state is JobState.STOPPED or view.job.result_cid is not None:
            return True
        # Ended by its poster, it may have no result: where the agent had refused it.
        return bool(shop.rows(f"SELECT 1 FROM jobs WHERE job = '{posted.job}' AND stage = 'done' AND refusal != ''"))

    await shop.until(f"an end of job {posted.job}", over)


async def begun(shop: Shop, posted: Posted) -> None:
    """Until the chain shows that a node works on the job."""

    async def running() -> bool:
        return (await shop.place.poster.view(posted.job)).phase is not Phase.QUEUED

    await shop.until(f"a run of job {posted.job}", running)


async def finish(shop: Shop) -> list[Told]:
    """A short job, done."""
    posted = await shop.place.post(single(shop.image, SHORT), seconds=120)
    await settled(shop, posted)
    return [Told(posted, Expected(("finish",), LINES))]


async def complete(shop: Shop) -> list[Told]:
    """The poster ends a job while it runs."""
    posted = await shop.place.post(single(shop.image, "echo one; sleep 60"), seconds=120)
    await begun(shop, posted)
    await _container(shop, posted)
    await shop.place.poster.stop(posted.job)
    await settled(shop, posted)
    return [Told(posted, Expected(("complete",)))]


async def refuse(shop: Shop) -> list[Told]:
    """A job that the host does not do, given back."""
    posted = await shop.place.post(single(DENIED_IMAGE, "true"), seconds=120)
    await settled(shop, posted)
    return [Told(posted, Expected(("quit",), most_starts=0))]


async def several(shop: Shop) -> list[Told]:
    """Operations that need each other: a volume, one that depends on another, one that hears what another said."""
    mounted = {"image": shop.image, "volumes": [{"name": "shelf", "dest": "/shelf"}]}
    writing = "echo word > /shelf/word; echo said one"
    reading = 'sleep 0.2; cat /shelf/word > /dev/null && echo "%%ops.writer.results.said%%"'
    beside = {"group": "pair", "depends_on": ["writer"]}
    run = {"type": "container/run"}
    definition = {
        "version": "0.1",
        "type": "container",
        "ops": [
            {"type": "container/create-volume", "id": "shelf", "args": {"name": "shelf"}},
            {**run, "id": "writer", "args": {**mounted, "cmd": writing}, "execution": {"group": "pair"},
             "results": {"said": "said one"}},
            {**run, "id": "beside", "args": {"image": shop.image, "cmd": "echo beside"}, "execution": beside},
            {**run, "id": "reader", "args": {**mounted, "cmd": reading}},
        ],
    }  # fmt: skip
    posted = await shop.place.post(definition, seconds=120)
    await settled(shop, posted)
    return [Told(posted, Expected(("finish",), ["said one\n", "beside\n", "said one\n"], most_starts=3))]


async def extend(shop: Shop) -> list[Told]:
    """The poster extends a job while it runs."""
    posted = await shop.place.post(single(shop.image, "echo one; sleep 3; echo two"), seconds=120)
    await begun(shop, posted)
    await shop.place.poster.extend(posted.job, 60)
    await settled(shop, posted)
    return [Told(posted, Expected(("finish",), LINES))]


async def invalid(shop: Shop) -> list[Told]:
    """A definition that breaks the schema: a result without work."""
    posted = await shop.place.post({"version": "0.1", "type": "container", "ops": [{"type": "container/run"}]}, 120)
    await settled(shop, posted)
    return [Told(posted, Expected(("finish",), most_starts=0))]


async def restart(shop: Shop) -> list[Told]:
    """The operator stops the agent in the middle of a job, and starts it again."""
    posted = await shop.place.post(single(shop.image, "echo one; sleep 2; echo two"), seconds=120)
    await begun(shop, posted)
    await _container(shop, posted)
    await shop.keeper.stop()
    shop.keeper.start()
    await settled(shop, posted)
    return [Told(posted, Expected(("finish",), LINES))]


async def stop_and_quit(shop: Shop) -> list[Told]:
    """The operator stops the agent and has it give its job back."""
    posted = await shop.place.post(single(shop.image, "echo one; sleep 60"), seconds=120)
    await begun(shop, posted)
    await _container(shop, posted)
    shop.keeper.allow_end()
    deaths = shop.keeper.deaths
    await shop.keeper.told(lambda client: client.stop_and_quit())

    async def given_back() -> bool:
        # Its word is not durable: an agent that was killed before it gave the job back has to be told again.
        nonlocal deaths
        if shop.keeper.deaths != deaths:
            deaths = shop.keeper.deaths
            await shop.keeper.told(lambda client: client.stop_and_quit())
        return (await shop.place.poster.view(posted.job)).phase is Phase.STOPPED

    await shop.until("the job given back", given_back)

    async def ended() -> bool:
        return shop.keeper.is_idle or shop.keeper.deaths != deaths

    await shop.until("an agent that ends", ended)
    await shop.keeper.stop()
    shop.keeper.start()
    return [Told(posted, Expected(("quit",)))]


async def drain(shop: Shop) -> list[Told]:
    """The operator drains the lane and lets it go on; a job posted meanwhile is done afterwards."""
    await shop.keeper.told(lambda client: client.drain())
    await _out_of_queue(shop, "drained")
    posted = await shop.place.post(single(shop.image, SHORT), seconds=120)
    await shop.keeper.told(lambda client: client.resume())
    await settled(shop, posted)
    return [Told(posted, Expected(("finish",), LINES))]


async def pause(shop: Shop) -> list[Told]:
    """The operator pauses the lane for some seconds."""
    await shop.keeper.told(lambda client: client.pause(seconds=3.0))
    await _out_of_queue(shop, "paused")
    posted = await shop.place.post(single(shop.image, SHORT), seconds=120)
    await settled(shop, posted)
    return [Told(posted, Expected(("finish",), LINES))]


async def orphans(shop: Shop) -> list[Told]:
    """Things with the agent's label that no job of its journal owns are removed; those beside them are not touched."""
    job = str(Keypair().pubkey())
    labels = {NODE_LABEL: shop.node, JOB_LABEL: job, OPERATION_LABEL: "0"}
    network = network_name(Address(job))
    body = {"Image": shop.image, "Cmd": ["sleep", "600"], "Labels": labels}
    foreign = f"not-ours-{job[:12]}"

    def make() -> None:
        shop.engine.create_volume(foreign)
        shop.engine.create_volume(f"{job}-data", labels=labels)
        shop.engine.create_network(network, labels=labels)
        shop.engine.create_container_from_config(body, container_name(Address(job), 0))  # type: ignore[no-untyped-call]

    async def swept() -> bool:
        return not shop.leftovers()

    await asyncio.to_thread(make)
    try:
        await shop.until("a clean engine", swept)
        shop.engine.inspect_volume(foreign)
    finally:
        shop.engine.remove_volume(foreign)
    return await finish(shop)


async def work_proof(shop: Shop) -> list[Told]:
    """The lane makes a work proof while it waits, and then does a job."""
    known = newest_proof(shop)
    await shop.keeper.change(work_proof=MAKING)

    async def another() -> bool:
        return newest_proof(shop) != known

    await shop.until("a work proof", another)
    told = await finish(shop)
    await shop.keeper.change(work_proof={"engine": "off"})
    await shop.rest()
    await examine_work(shop, told[0].posted.job)
    return told


def pull(registry_image: str) -> Callable[[Shop], Awaitable[list[Told]]]:
    """A job whose image has to be pulled."""

    async def play(shop: Shop) -> list[Told]:
        def forget() -> None:
            try:
                shop.engine.remove_image(registry_image, force=True)
            except docker.errors.ImageNotFound:
                return

        await asyncio.to_thread(forget)
        posted = await shop.place.post(single(registry_image, SHORT), seconds=120)
        await settled(shop, posted)
        # The agent has room for no image at all, so it does not keep this one.
        await shop.until("the image removed", lambda: removed(shop))
        return [Told(posted, Expected(("finish",), LINES))]

    async def removed(shop: Shop) -> bool:
        return not shop.engine.images(registry_image)

    return play


SCENES: tuple[Scene, ...] = (
    Scene("finish", finish),
    Scene("complete", complete),
    Scene("refuse", refuse),
    Scene("several", several),
    Scene("invalid", invalid),
    Scene("extend", extend),
    Scene("restart", restart),
    Scene("stop-and-quit", stop_and_quit),
    Scene("drain", drain),
    Scene("pause", pause),
    Scene("orphans", orphans),
    Scene("work", work_proof),
)


def scenes(registry_image: str | None) -> tuple[Scene, ...]:
    """All scenarios; without an image in a registry, all but the one that pulls."""
    if registry_image is None:
        return SCENES
    return (*SCENES, Scene("pull", pull(registry_image)))


async def _container(shop: Shop, posted: Posted) -> None:
    """Until the job's container was started, or the job is over."""

    async def started() -> bool:
        return shop.starts.of(posted.job) > 0

    await shop.until("a container", started)


async def _out_of_queue(shop: Shop, word: str) -> None:
    async def out() -> bool:
        try:
            status: dict[str, Any] = (await shop.keeper.client.status())["lanes"][0]
        except Exception:
            return False
        # A pause that ends while the agent starts again was one all the same.
        return word in status["reason"] or (word == "paused" and status["phase"] == "queued")

    await shop.until(f"a lane that is {word}", out)
