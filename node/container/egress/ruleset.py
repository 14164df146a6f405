"""The one permanent table of the packet filter: `inet gpunode`, as text for `nft`.

It knows jobs by their bridges alone, whose names begin with `gpn`; so it can be there before the first job, and nothing
has to be added when one starts or taken away when the agent dies. The letter after the prefix says what the job may
reach (node.container.egress.bridges).

Drops are final whatever other tables say: a packet has to pass every base chain of a hook, and an `accept` only ends
the chain it stands in. So neither the engine's rules nor a firewall's can open what is closed here, in iptables or in
nftables. The priority is a little before theirs (`filter`), so that none of them logs, marks, queues or offloads a
packet that is to be dropped.

What a job sends is judged by its destination in every packet, never by "established": a connection that was opened
while the table was missing ends when it is back.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

from node.container.egress.bridges import JOB_PREFIX, LISTED_PREFIX, SEALED_PREFIX
from node.container.egress.ranges import Network, closed_networks, merged, neighbours, without
from node.settings_network import NetworkSettings, parse_place

FAMILY = "inet"
TABLE = "gpunode"
VERSION = 1
"""Of the rules' form; the table's comment names it."""

FLOWS_SET = "flows"
NAMED_SET, NAMED_PORTS_SET = "named", "named_ports"
"""Sets that take the addresses of listed names, as they are found."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the table is made of; equal rules give equal texts."""

    neighbours: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()
    allow: tuple[tuple[Network, int | None], ...] = ()
    """Network and port (None: any)."""
    resolvers: tuple[str, ...] = ()
    connections: int = 8192
    """Of one job at once."""

    @classmethod
    def of(cls, settings: NetworkSettings) -> Self:
        """The rules for these settings on this host as it is now. Raises FilterError."""
        places = [parse_place(text) for text in settings.allow]
        return cls(
            neighbours=neighbours(JOB_PREFIX),
            deny=without(merged(Network(text) for text in settings.deny), closed_networks()),
            allow=tuple((place, port) for place, port in places if isinstance(place, Network)),
            resolvers=settings.resolvers,
            connections=settings.connections,
        )

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the table's text without the comment that names it."""
        return hashlib.sha256(self._body().encode()).hexdigest()

    def table(self, name: str = TABLE, *, flags: str = "") -> str:
        """The definition of the table."""
        first = [f"\tflags {flags}"] if flags else []
        comment = f'\tcomment "{TABLE} {VERSION} sha256:{self.digest[:32]}"'
        return "\n".join([f"table {FAMILY} {name} {{", *first, comment, self._body(), "}", ""])

    def script(self) -> str:
        """What `nft -f` loads in one transaction, whether the table is there or not."""
        return f"add table {FAMILY} {TABLE}\ndelete table {FAMILY} {TABLE}\n{self.table()}"

    def _body(self) -> str:
        return "\n".join((_SETS, _BASE_CHAINS, self._from_job(), self._listed()))

    def _from_job(self) -> str:
        own = without(merged([*self.neighbours, *self.deny]), closed_networks())
        beside = [f"\t\tip daddr {_set(own)} drop"] if own else []
        # Counted by the kernel per bridge; a packet that is dropped leaves nothing in the host's table of connections.
        crowd = f"\t\tct state new add @{FLOWS_SET} {{ iifname ct count over {self.connections} }} drop"
        return "\n".join(
            [_FROM_JOB_START + _set(closed_networks()) + " drop", *beside, _FROM_JOB_END, crowd, _FROM_JOB_VERDICT]
        )

    def _listed(self) -> str:
        lines = ["\tchain listed {"]
        lines += [
            f"\t\tip daddr {address} meta l4proto {{ tcp, udp }} th dport 53 accept" for address in self.resolvers
        ]
        for network, port in self.allow:
            lines.append(f"\t\tip daddr {network}{_port(port)} accept")
        lines += [
            f"\t\tip daddr @{NAMED_SET} accept",
            f"\t\tmeta l4proto {{ tcp, udp }} ip daddr . th dport @{NAMED_PORTS_SET} accept",
            "\t\tdrop",
            "\t}",
        ]
        return "\n".join(lines)


_SETS = f"""\
	set {FLOWS_SET} {{
		type ifname
		size 4096
		flags dynamic
	}}
	set {NAMED_SET} {{
		type ipv4_addr
		flags timeout
	}}
	set {NAMED_PORTS_SET} {{
		type ipv4_addr . inet_service
		flags timeout
	}}"""

_BASE_CHAINS = f"""\
	chain forward {{
		type filter hook forward priority filter - 10; policy accept;
		iifname "{JOB_PREFIX}*" goto from_job
		oifname "{JOB_PREFIX}*" goto to_job
	}}
	chain input {{
		type filter hook input priority filter - 10; policy accept;
		iifname "{JOB_PREFIX}*" goto to_host
	}}
	chain to_host {{
		meta nfproto ipv6 drop comment "jobs have no IPv6"
		icmp type redirect drop comment "a job does not change the host's routes"
		fib saddr . iif oif missing drop comment "not the job's own address"
		ct direction reply ct state established,related accept comment "answers to what the host began: probes"
		drop
	}}
	chain to_job {{
		meta nfproto ipv6 drop
		icmp type redirect drop
		ct direction reply ct state established,related accept comment "answers to what the job began"
		drop
	}}"""

_FROM_JOB_START = f"""\
	chain from_job {{
		oifname "{JOB_PREFIX}*" fib daddr . iif oif exists accept comment "between containers of one job"
		meta nfproto ipv6 drop comment "jobs have no IPv6"
		iifname "{SEALED_PREFIX}*" drop
		fib saddr . iif oif missing drop comment "not the job's own address"
		ct status dnat drop comment "sent elsewhere by a rule of the host: a published port"
		oifname "{JOB_PREFIX}*" drop comment "another job"
		ip daddr """

_FROM_JOB_END = """\
		meta l4proto != { icmp, tcp, udp } drop comment "tunnels and the like"
		icmp type != { echo-reply, destination-unreachable, echo-request, time-exceeded, parameter-problem } drop"""

_FROM_JOB_VERDICT = f"""\
		iifname "{LISTED_PREFIX}*" goto listed
		accept
	}}"""


def _set(networks: tuple[Network, ...]) -> str:
    return f"{{ {', '.join(map(str, networks))} }}"


def _port(port: int | None) -> str:
    return "" if port is None else f" meta l4proto {{ tcp, udp }} th dport {port}"
