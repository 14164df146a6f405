"""The services that exist now: which name leads to which container, and how each of them is."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from node.errors import ServiceError
from node.records import Address


class ServiceStatus(StrEnum):
    """Whether an exposed port answers (Nosana node)."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"
    UNKNOWN = "UNKNOWN"
    """Nobody has asked yet."""


@dataclass(frozen=True, slots=True)
class ServiceState:
    """A service as others are told of it."""

    op_id: str
    port: str
    """As the definition has it, resolved."""
    url: str
    status: ServiceStatus
    private: bool = False


class Cut(Protocol):
    """A connection that can be ended from outside."""

    def abort(self) -> None:
        """End it now."""
        ...


@dataclass(eq=False)
class Entry:
    """One service. Its address changes when its container is started anew."""

    id: str
    job: Address
    op_id: str
    port: int
    text: str = ""
    """The port as the definition has it."""
    private: bool = False
    deployment: str = ""
    """First label of the host name it shares with the same operation of other jobs; empty: none."""
    group_key: str = field(default="", repr=False)
    checked: bool = False
    """It has health checks: its status is theirs to say, not the proxy's."""
    address: str = ""
    """IP address of its container; empty: none runs."""
    status: ServiceStatus = ServiceStatus.UNKNOWN
    cuts: set[Cut] = field(default_factory=set, repr=False)
    """Connections to it that are open now, those that are kept for a next request included."""
    active: int = 0
    """Requests and WebSockets under way."""


class ServiceTable:
    """Entries by name. Names are compared in small letters: hosts have no others."""

    def __init__(self) -> None:
        self._by_name: dict[str, Entry] = {}
        self._shared: dict[str, list[Entry]] = {}
        self._changed: list[Callable[[], None]] = []

    def on_change(self, told: Callable[[], None]) -> None:
        """Have `told` called whenever entries or their statuses have changed."""
        self._changed.append(told)

    def add(self, entry: Entry) -> None:
        """Enter a service. Raises ServiceError for an id that is there already, or that is no host's label."""
        label = entry.id.lower()
        if not label.isascii() or not label.isalnum() or len(label) > 63:
            raise ServiceError(f"{entry.id[:80]!r} cannot be a service's name")
        if label in self._by_name:
            raise ServiceError(f"there is a service {entry.id} already", hint="a job's earlier life has not ended")
        self._by_name[label] = entry
        if entry.deployment:
            self._shared.setdefault(entry.deployment.lower(), []).append(entry)
        self.tell()

    def remove(self, entry: Entry) -> None:
        """Take a service away; connections to it end."""
        self.stop(entry)
        self._by_name.pop(entry.id.lower(), None)
        shared = self._shared.get(entry.deployment.lower(), [])
        if entry in shared:
            shared.remove(entry)
            if not shared:
                del self._shared[entry.deployment.lower()]
        self.tell()

    def start(self, entry: Entry, address: str) -> None:
        """Its container runs at this IP address. Raises ServiceError for one that no container can have."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            raise ServiceError(f"{address[:60]!r} is no IP address") from None
        if ip.is_loopback or ip.is_unspecified or ip.is_multicast or ip.is_link_local:
            raise ServiceError(f"{address} is no container's address", hint="this is a bug")
        entry.address = str(ip)
        entry.status = ServiceStatus.UNKNOWN
        self.tell()

    def stop(self, entry: Entry) -> None:
        """Its container has ended; connections to it end, which the kernel may not see when its network is gone."""
        entry.address = ""
        if entry.status is ServiceStatus.ONLINE:
            entry.status = ServiceStatus.OFFLINE
        for cut in tuple(entry.cuts):
            cut.abort()
        self.tell()

    def judge(self, entry: Entry, status: ServiceStatus) -> None:
        """What its health checks have found."""
        if entry.status is not status:
            entry.status = status
            self.tell()

    def seen(self, entry: Entry, *, answers: bool) -> None:
        """What the proxy has seen of it: counts where it has no health checks of its own."""
        if not entry.checked and entry.address:
            self.judge(entry, ServiceStatus.ONLINE if answers else ServiceStatus.OFFLINE)

    def find(self, label: str) -> Entry | None:
        """The service of this name, or one of the operation that shares it."""
        entry = self._by_name.get(label)
        if entry is not None:
            return entry
        shared = self._shared.get(label, [])
        return next((each for each in shared if each.status is not ServiceStatus.OFFLINE), next(iter(shared), None))

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._by_name.values()))

    def tell(self) -> None:
        """Tell whoever wants to know of changes."""
        for told in self._changed:
            told()
