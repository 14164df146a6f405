"""A job's own network: made behind the packet filter, or not at all, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from node.container.egress.bridges import has_interface, is_kept_by, network_use
from node.container.egress.guard import Guard
from node.container.engine import JOB_LABEL, Engine
from node.errors import EngineRejected, EngineUnavailable, FilterError
from node.records import ContainerSpec, NetworkUse

NOTHING = NetworkUse(0, 0)


class JobNetworks:
    """Makes the networks of jobs on one engine."""

    def __init__(self, engine: Engine, guard: Guard | None = None) -> None:
        """`guard`: by default there is no packet filter to see to."""
        self._engine = engine
        self._guard = guard or Guard(None)
        self._told: dict[str, NetworkUse] = {}
        # Operations of a job start together, and engines make a network twice when asked at once.
        self._making = asyncio.Lock()

    async def make(self, spec: ContainerSpec, labels: Mapping[str, str]) -> None:
        """Make the network of this container unless it is there.

        One that is there may let out less than this container might, because another of its job may less; never more.
        Raises EngineRejected for one that does, or is not this job's; also where its bridge is out of the packet
        filter's sight: an engine in a virtual machine or of a plain user has its bridges in a network of its own.
        """
        async with self._making:
            bridge = await self._made(spec, labels)
        if self._guard.firewall is not None and not await asyncio.to_thread(has_interface, bridge):
            raise EngineRejected(
                f"the engine's bridge {bridge} is not in this host's network, so the packet filter does not see it",
                status=412,
                hint="use the host's own engine, not one in a virtual machine or a rootless one",
            )

    async def _made(self, spec: ContainerSpec, labels: Mapping[str, str]) -> str:
        for _ in range(2):
            await self._engine.ensure_network(spec.network, labels, spec.egress)
            own = {key: value for key, value in labels.items() if key == JOB_LABEL}
            found = [view for view in await self._engine.networks(own) if own and view.name == spec.network]
            if not found:
                raise EngineRejected(f"there is a network {spec.network} that is not this job's", status=409)
            if is_kept_by(found[0].bridge, spec.network, spec.egress):
                return found[0].bridge
            if not await self._engine.remove_network(found[0].id):  # an older run's goes; one in use does not
                break
        raise EngineRejected(
            f"the job's network lets out more than this operation may ({spec.egress.value})",
            status=409,
            hint="this is a bug in the plan; please report it",
        )

    async def clear_to_start(self) -> None:
        """Return when the packet filter is in place. Raises EngineUnavailable where it is not: worth trying again."""
        try:
            await self._guard.ensure()
        except FilterError as error:
            raise EngineUnavailable(f"no container starts: {error.message}", hint=error.hint) from None

    async def use(self, spec: ContainerSpec) -> NetworkUse | None:
        """What has crossed the border of the job's network and was not told yet, so that each byte is told once; None
        where that is not known."""
        found = await asyncio.to_thread(network_use, spec.network)
        if found is None:
            return None
        told = self._told.get(spec.network, NOTHING)
        if found.received < told.received or found.sent < told.sent:
            told = NOTHING  # the bridge was made anew, as after a restart of the host
        self._told[spec.network] = found
        return NetworkUse(found.received - told.received, found.sent - told.sent)

    def recall(self, network: str, told: Sequence[NetworkUse]) -> None:
        """What was told of a network in an earlier life of the agent."""
        sums = NetworkUse(sum(each.received for each in told), sum(each.sent for each in told))
        self._told.setdefault(network, sums)

    def forget(self, network: str) -> None:
        """The network is gone."""
        self._told.pop(network, None)
