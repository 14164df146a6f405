"""Which lanes there are at a start: those of groups found out by the GPUs, those that overlap refused."""

from __future__ import annotations

import logging
from collections.abc import Container, Mapping

from node.agent.premises import Host
from node.agent.unopened import UnopenedLane
from node.content.merkle import MerkleHasher
from node.errors import GpuError, SettingsError, WalletError
from node.gpu.provider import choose_provider
from node.gpu.scenario import LOST_NAME
from node.lane_groups import grown, read_places, with_lanes, write_places
from node.records import Gpu
from node.retry import Clock
from node.settings import LaneSettings, Settings

log = logging.getLogger(__name__)


async def with_group_lanes(settings: Settings) -> Settings:
    """The settings with a lane for each GPU of each group; new GPUs get their accounts, durable before this returns.

    Raises SettingsError, and GpuError where the GPUs cannot be seen and none was ever seen.
    """
    if not settings.lane_groups:
        return settings
    data = settings.locations.data
    places = read_places(data)
    try:
        seen = await _seen(settings)
    except GpuError as error:
        if not settings.lanes:
            raise
        log.warning("new GPUs are not looked for: %s", error.line)
        return settings
    more = grown(settings, seen, places)
    if more != places:
        write_places(data, more)
    wide = with_lanes(settings, more)
    if not wide.lanes:
        raise GpuError("this host has no GPU for a lane", hint="see gpunode gpus, and `lane_groups`")
    return wide


async def _seen(settings: Settings) -> tuple[str, ...]:
    """UUIDs that can be lanes: of GPUs, and of a divided one its devices instead."""
    provider = await choose_provider(
        settings.gpu.provider,
        settings.cluster,
        new_hasher=MerkleHasher,
        lost=settings.locations.data / LOST_NAME,
        simulated=settings.gpu.simulated,
    )
    try:
        found = await provider.inventory()
    finally:
        await provider.aclose()
    divided = {gpu.parent for gpu in found if gpu.parent is not None}
    return tuple(gpu.uuid for gpu in found if gpu.uuid not in divided)


def with_only(settings: Settings, names: Container[str]) -> Settings:
    """The settings with the lanes of these names."""
    return settings.model_copy(update={"lanes": tuple(lane for lane in settings.lanes if lane.name in names)})


def unopened(settings: Settings, troubles: Mapping[str, WalletError], clock: Clock) -> list[UnopenedLane]:
    """What stands for the lanes whose keys cannot be opened."""
    stand = []
    for lane in settings.lanes:
        if (error := troubles.get(lane.name)) is not None:
            log.error("lane %s stays out: %s", lane.name, error.line)
            stand.append(UnopenedLane(lane, error, clock))
    return stand


async def require_separate_gpus(host: Host) -> None:
    """Raise SettingsError where one lane has a GPU and another a part of it, which only the driver knows."""
    try:
        found = await host.monitor.inventory()
    except GpuError:
        return  # each lane finds out for itself, and waits
    require_no_shared_part(host.settings.lanes, found)


def require_no_shared_part(lanes: tuple[LaneSettings, ...], found: tuple[Gpu, ...]) -> None:
    """Raise SettingsError where a MIG device is one lane's and its whole GPU another's."""
    owners = {uuid: lane.name for lane in lanes if lane.gpus != "all" for uuid in lane.gpus}
    for gpu in found:
        if gpu.parent is None or gpu.uuid not in owners or gpu.parent not in owners:
            continue
        part, whole = owners[gpu.uuid], owners[gpu.parent]
        if part != whole:
            raise SettingsError(
                f"lanes: {part} has MIG device {gpu.uuid}, which is a part of GPU {gpu.parent} of lane {whole}",
                hint="give that lane the GPU's other MIG devices instead: gpunode gpus",
            )
