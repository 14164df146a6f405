"""Keeps a lane's NodeAccount and host card true to the host."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from node.agent.edges import Publisher
from node.agent.host import HostFacts
from node.bounded_json import JsonRefused, read_json
from node.journal.journal import Journal
from node.market import register
from node.market.context import MarketContext
from node.records import Cid, Gpu, NodeProfile
from node.settings import HostSettings

log = logging.getLogger(__name__)

IOPS_DRIFT = 0.5
"""Share by which a disk may measure otherwise than registered before that is worth a transaction."""


@dataclass(frozen=True, slots=True)
class Registrar:
    """Registers one lane's key as this host."""

    facts: HostFacts
    host: HostSettings
    version: str
    publisher: Publisher
    journal: Journal
    make_card: Callable[[HostFacts, tuple[Gpu, ...]], bytes]
    """The signed host card of these GPUs."""

    async def ensure(self, context: MarketContext, gpus: tuple[Gpu, ...]) -> register.RegisterResult:
        """Register the host with its card, or update both when the hardware has changed.

        Raises ContentError when the card cannot be uploaded, and the errors of the chain branch.
        """
        profile = await self._profile(context, gpus)
        card = await self._card(context, gpus)
        result = await register.ensure(context, profile, card)
        if result.changed:
            log.info("registered this host as %s (host card %s)", result.address, card)
        return result

    async def _profile(self, context: MarketContext, gpus: tuple[Gpu, ...]) -> NodeProfile:
        profile = self.facts.profile(
            country=self.host.country_number,
            gpus=len(gpus),
            endpoint=self.host.endpoint,
            version=self.version,
        )
        known = await register.read(context, context.node)
        # A disk never measures the same twice; only a real change is worth a fee.
        if known is not None and abs(profile.iops - known.profile.iops) <= IOPS_DRIFT * known.profile.iops:
            return replace(profile, iops=known.profile.iops)
        return profile

    async def _card(self, context: MarketContext, gpus: tuple[Gpu, ...]) -> Cid:
        """The CID of the card of this hardware: the one made before, while the hardware is the same."""
        print_ = self._fingerprint(gpus)
        key = f"host_card:{context.node}"
        kept = _kept(await self.journal.meta(key))
        if kept.get("hardware") == print_ and "cid" in kept:
            return Cid(str(kept["cid"]))
        card = await asyncio.to_thread(self.make_card, self.facts, gpus)
        cid, _ = await self.publisher.publish(f"{context.node}.host-card.json", card)
        await self.journal.set_meta(key, json.dumps({"hardware": print_, "cid": cid}))
        return cid

    def _fingerprint(self, gpus: tuple[Gpu, ...]) -> str:
        """What a card states, less what differs at each measurement."""
        facts = {key: value for key, value in asdict(self.facts).items() if key != "disk"}
        stated = {"facts": facts, "gpus": [asdict(gpu) for gpu in gpus], "version": self.version}
        return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()


def _kept(text: str | None) -> dict[str, Any]:
    """What was kept of the last card; nothing where it cannot be read."""
    try:
        kept = read_json(text or "{}", limit=1 << 16)
    except JsonRefused:
        return {}
    return kept if isinstance(kept, dict) else {}
