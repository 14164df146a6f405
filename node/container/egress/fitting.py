"""Builds the guard that a host's settings ask for."""

from __future__ import annotations

from node.container.egress.firewall import Firewall
from node.container.egress.guard import Guard
from node.container.egress.names import ListedNames
from node.container.egress.ruleset import Rules
from node.retry import Clock
from node.settings_network import NetworkSettings


def network_guard(settings: NetworkSettings, clock: Clock) -> Guard:
    """A guard over the packet filter, or over nothing where the settings have switched it off."""
    if settings.filter == "off":
        return Guard(None)
    return Guard(network_firewall(settings), ListedNames.of(settings, clock))


def network_firewall(settings: NetworkSettings) -> Firewall:
    """The packet filter as these settings want it."""
    return Firewall(lambda: Rules.of(settings))
