"""The tunnel to services of jobs and to the owner's API, as one of the subjects of the host's health."""

from __future__ import annotations

from dataclasses import dataclass

from node.agent.health.verdict import WELL, Look, Patience
from node.agent.health.watch import Watched
from node.records import HealthState
from node.service.desk import ServiceDesk
from node.service.tunnel import TunnelPhase


@dataclass(frozen=True, slots=True)
class TunnelProbe:
    """The tunnel. Jobs run without it, and who waits for a service sees that it is away: it is only said."""

    desk: ServiceDesk

    async def look(self) -> Look:
        """How it stands; nothing is asked for that."""
        tunnel = self.desk.tunnel
        if tunnel is None or tunnel.state.phase is TunnelPhase.ONLINE:
            return WELL
        state = tunnel.state
        if state.phase is TunnelPhase.STARTING:
            return Look(HealthState.UNKNOWN, "the tunnel is being built")
        return Look(HealthState.FAILING, state.reason, state.hint or "gpunode doctor")


def watched_tunnel(desk: ServiceDesk) -> Watched:
    """The tunnel as a subject that stands in no job's way."""
    return Watched("tunnel", TunnelProbe(desk), Patience(unknown_limit=float("inf"), is_warning=True))
