"""Deadlines by the chain's clock: a host's clock that is wrong or is set ends no work, and lengthens none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node.agent.health.chain_clock import BootTime, ChainClock, ChainMoment, decode_clock
from node.agent.health.fitting import read_chain_clock
from node.agent.health.probes import RpcProbe
from node.chain.rpc import Rpc
from node.errors import AccountMalformed, RpcUnavailable
from node.localnet.app import Localnet
from node.records import EndCause, HealthState
from tests.agent.clock import FakeClock
from tests.agent.test_pipeline import job, running, working
from tests.agent.world import World

HOURS = [6 * 3600.0, -6 * 3600.0]


class Chain:
    """A chain's clock, and the machine's."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.moment: ChainMoment | None = None
        self.boot = "boot-a"
        self.kept: dict[str, str] = {}
        self.away = False

    async def read(self) -> ChainMoment:
        if self.away:
            raise RpcUnavailable("away")
        return self.moment or ChainMoment(int(self.clock.now * 2.5), int(self.clock.now))

    async def meta(self, key: str) -> str | None:
        return self.kept.get(key)

    async def set_meta(self, key: str, value: str) -> None:
        self.kept[key] = value

    def open(self) -> ChainClock:
        return ChainClock(self.read, self.clock, self, lambda: BootTime(self.boot, self.clock.now - 1_600_000_000))


@pytest.fixture
def chain() -> Chain:
    return Chain()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


# --- the clock itself ----------------------------------------------------------------------------------------


async def test_before_anything_is_read_it_is_the_hosts(chain: Chain) -> None:
    clock = chain.open()
    assert clock.time() == chain.clock.time()
    assert clock.skew is None


@pytest.mark.parametrize("jump", HOURS)
async def test_a_host_clock_that_is_set_moves_nothing(chain: Chain, jump: float) -> None:
    clock = chain.open()
    await clock.sync()
    chain.clock.skew = jump
    chain.clock.now += 100
    assert clock.time() == chain.clock.now
    assert clock.skew == jump


async def test_a_chain_that_stands_still_and_one_that_lags_do_not_stop_the_time(chain: Chain) -> None:
    clock = chain.open()
    chain.moment = ChainMoment(1000, 1_700_000_000)
    await clock.sync()
    chain.clock.now += 50
    await clock.sync()
    chain.moment = ChainMoment(900, 1_699_999_000)
    await clock.sync()
    assert clock.time() == 1_700_000_050


async def test_a_correction_is_told_and_a_whole_second_is_none(chain: Chain) -> None:
    clock = chain.open()
    await clock.sync()
    told = asyncio.ensure_future(clock.corrected())
    chain.clock.now += 10.9
    await clock.sync()
    assert clock.time() == pytest.approx(chain.clock.now)
    chain.moment = ChainMoment(10**12, int(chain.clock.now) + 3600)
    await asyncio.sleep(0)
    assert not told.done()
    await clock.sync()
    await asyncio.wait_for(told, 1)
    assert clock.time() == int(chain.clock.now) + 3600


async def test_it_is_carried_over_a_restart_on_the_same_boot_only(chain: Chain) -> None:
    first = chain.open()
    await first.sync()
    chain.clock.now += 500
    chain.clock.skew = 9000
    second = chain.open()
    await second.restore()
    assert second.time() == chain.clock.now
    chain.boot = "boot-b"
    third = chain.open()
    await third.restore()
    assert third.time() == chain.clock.time()


@pytest.mark.parametrize("kept", ["", "{}", "[1]", '{"boot": 1}', "null"])
async def test_a_kept_reading_that_makes_no_sense_is_passed_over(chain: Chain, kept: str) -> None:
    chain.kept["chain_clock"] = kept
    clock = chain.open()
    await clock.restore()
    assert clock.time() == chain.clock.time()


def test_the_sysvars_bytes() -> None:
    data = b"".join(value.to_bytes(8, "little", signed=True) for value in (7, 1, 2, 3, 1_700_000_123))
    assert decode_clock(data) == 1_700_000_123
    with pytest.raises(AccountMalformed):
        decode_clock(data[:39])


# --- jobs ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def working_synced(world: World, timeout: int) -> AsyncIterator[None]:
    async with working(world, job(world, timeout=timeout)):
        await running(world)
        await world.chain_clock.sync()
        yield


@pytest.mark.parametrize("jump", HOURS)
async def test_a_clock_set_by_hours_under_a_job_moves_no_deadline(world: World, jump: float) -> None:
    async with working_synced(world, timeout=600):
        await world.clock.advance(100)
        world.clock.skew = jump
        await world.clock.advance(499)
        assert world.engine.running
        await world.clock.advance(2)
        assert world.engine.stops == [EndCause.EXPIRED]


@pytest.mark.parametrize("jump", HOURS)
async def test_a_clock_that_was_wrong_from_the_start_is_found_out_at_the_chain(world: World, jump: float) -> None:
    a = job(world, timeout=600)
    world.clock.skew = jump
    async with working(world, a):
        await running(world)
        await world.clock.advance(1)
        await world.chain_clock.sync()  # as the watch does
        await world.clock.advance(590)
        assert world.engine.running
        await world.clock.advance(10)
        assert world.engine.stops == [EndCause.EXPIRED]


@pytest.mark.parametrize("jump", HOURS)
async def test_a_clock_set_while_the_agent_was_down_ends_no_work_that_is_adopted(world: World, jump: float) -> None:
    a = job(world, timeout=600)
    async with working(world, a):
        await running(world)
    world.clock.now += 100
    world.clock.skew = jump
    world.chain_clock = ChainClock(world._chain_time, world.clock)  # a new life has read nothing yet
    async with working(world, a):
        await world.clock.advance(1)
        await world.chain_clock.sync()
        await world.clock.advance(490)
        assert world.engine.running
        assert world.operations.adopted
        await world.clock.advance(10)
        assert world.engine.stops == [EndCause.EXPIRED]


async def test_a_clock_ahead_and_no_endpoint_at_a_restart_end_no_work_of_the_same_boot(world: World) -> None:
    kept: dict[str, str] = {}

    class Keeper:
        async def meta(self, key: str) -> str | None:
            return kept.get(key)

        async def set_meta(self, key: str, value: str) -> None:
            kept[key] = value

    def clock() -> ChainClock:
        return ChainClock(world._chain_time, world.clock, Keeper(), lambda: BootTime("a", world.clock.now))

    world.chain_clock = clock()
    a = job(world, timeout=600)
    async with working(world, a):
        await running(world)
        await world.chain_clock.sync()
    world.clock.now += 100
    world.clock.skew = 6 * 3600.0
    for name in ("clock", "watch_job", "timeout_of"):
        world.market.failures[name] = [RpcUnavailable("away")] * 10_000
    world.chain_clock = clock()
    await world.chain_clock.restore()
    async with working(world, a):
        await world.clock.advance(490)
        assert world.engine.running
        await world.clock.advance(60)
        assert world.engine.stops == [EndCause.EXPIRED]


# --- the embedded chain --------------------------------------------------------------------------------------


async def test_the_clock_of_the_embedded_chain(localnet: Localnet) -> None:
    async with Rpc([localnet.rpc_url]) as rpc:
        moment = await read_chain_clock(rpc)
        assert moment.time == pytest.approx(await rpc.get_block_time(moment.slot) or 0, abs=2)


async def test_endpoints_of_the_embedded_chain_that_go_down_and_come_back(localnet: Localnet) -> None:
    now = FakeClock()

    class Hurried(FakeClock):
        """Retries wait for nothing."""

        async def sleep(self, seconds: float) -> None:
            self.now += seconds
            await asyncio.sleep(0)

    hurried = Hurried()
    async with Rpc([localnet.rpc_url], clock=hurried) as rpc:
        chain = ChainClock(lambda: read_chain_clock(rpc), now, boot=lambda: None)
        probe = RpcProbe(rpc, hurried)
        assert (await probe.look()).state is HealthState.OK
        await chain.sync()
        read = chain.time()
        localnet.faults.set({"kind": "down"})
        hurried.now += 600
        now.now += 600
        seen = await probe.look()
        assert (seen.state, bool(seen.reason)) == (HealthState.UNKNOWN, True)
        with pytest.raises(RpcUnavailable):
            await chain.sync()
        assert chain.time() == read + 600
        localnet.faults.clear()
        assert (await probe.look()).state is HealthState.OK
        await chain.sync()
        assert chain.time() < read + 600  # the chain's own time, which ten minutes of a fake clock did not move
