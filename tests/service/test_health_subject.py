"""The tunnel as a subject of the host's health."""

from __future__ import annotations

from pathlib import Path

from node.agent.health.tunnel import TunnelProbe, watched_tunnel
from node.records import HealthState
from node.service.desk import ServiceDesk
from node.service.tunnel import TunnelPhase, TunnelState
from node.settings_service import ServiceSettings


async def test_the_tunnel_is_told_of_and_hinders_nothing(tmp_path: Path) -> None:
    desk = ServiceDesk(ServiceSettings(tunnel="frp", port=0), "devnet", data=tmp_path)
    assert desk.tunnel is not None
    probe = TunnelProbe(desk)
    assert (await probe.look()).state is HealthState.UNKNOWN
    desk.tunnel.state = TunnelState(TunnelPhase.FAILING, reason="the server refuses", hint="look")
    seen = await probe.look()
    assert (seen.state, seen.reason, seen.hint) == (HealthState.FAILING, "the server refuses", "look")
    desk.tunnel.state = TunnelState(TunnelPhase.ONLINE)
    assert (await probe.look()).state is HealthState.OK
    assert watched_tunnel(desk).patience.is_warning
