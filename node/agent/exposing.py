"""What the agent shows to the outside: services of jobs and the owner's API, and how the tunnel to them does."""

from __future__ import annotations

from dataclasses import dataclass

from node.agent.health.verdict import WELL, Look
from node.records import Address, HealthState
from node.retry import Clock
from node.service.desk import ServiceDesk
from node.service.tunnel import TunnelPhase
from node.settings import Settings


def service_desk(settings: Settings, nodes: tuple[Address, ...], clock: Clock) -> ServiceDesk:
    """The host's one desk for services. Raises ServiceError."""
    return ServiceDesk(
        settings.service,
        settings.cluster,
        data=settings.locations.data,
        nodes=nodes,
        engine_socket=str(settings.engine.socket),
        clock=clock,
    )


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
