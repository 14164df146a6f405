"""One typed tree of settings. `node.example.yaml` documents every one with its default.

Not here: how the tree is read (node/settings_source.py), and groups with a module of their own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from node.countries import COUNTRY_CODES
from node.paths import Paths, default_paths
from node.records import Egress
from node.settings_api import ApiSettings
from node.settings_earnings import EarningsSettings
from node.settings_gpu import GpuSettings
from node.settings_isolation import EngineSettings, IsolationRule, LimitSettings
from node.settings_lanes import LaneGroupSettings, require_apart
from node.settings_lanes import LaneSettings as LaneSettings
from node.settings_metrics import MetricsSettings
from node.settings_network import NetworkSettings
from node.settings_resources import ResourceSettings
from node.settings_section import Section, Size, parse_size
from node.settings_security import SecuritySettings
from node.settings_service import ServiceSettings
from node.settings_transfers import TransferSettings
from node.settings_work import WorkProofSettings


class RpcSettings(Section):
    """How the chain is reached."""

    urls: tuple[str, ...] = Field(default=("http://127.0.0.1:8899",), min_length=1)
    """JSON-RPC endpoints of one chain: reads go to the first that is well, transactions to all."""
    websocket: str | None = None
    """Subscription endpoint; by default those of `urls` in turn, with the scheme swapped (port + 1 on a localnet)."""
    timeout: float = Field(default=15.0, gt=0)
    """Seconds for one request."""
    rate: float = Field(default=8.0, gt=0)
    """Requests a second to one endpoint in the long run (eight times as many at once); none counts on this machine."""
    method_rate: float = Field(default=3.5, gt=0)
    """As `rate`, for one method."""

    @field_validator("urls")
    @classmethod
    def _http(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not url.startswith(("http://", "https://")):
                raise ValueError("must be http:// or https:// addresses")
        return urls


class FeeSettings(Section):
    """What is offered to validators on top of the base fee."""

    floor: int = Field(default=10_000, ge=0)
    """Micro-lamports per compute unit, at least."""
    cap: int = Field(default=2_000_000, ge=0)
    """Micro-lamports per compute unit, at most, however often a transaction is signed anew."""
    percentile: int = Field(default=50, ge=0, le=100)
    """Of the recent fees paid for the accounts a transaction writes."""
    daily_sol: float = Field(default=0.1, ge=0)
    """SOL spent on fees and rent in 24 h after which the lane joins no market; settling is never stopped."""
    reopen_above: float = Field(default=1.0, ge=0)
    """NOS of pay from which the rent (0.002 SOL) of a poster's closed NOS account is worth paying; for less the job is
    given back unpaid. Without such a bound, closing that account again would drain the wallet job by job."""


class StoreSettings(Section):
    """One place results are uploaded to."""

    kind: Literal["kubo", "pinata"]
    url: str
    jwt_file: Path | None = None
    """File holding the bearer token: required for pinata, for kubo where the node asks for one."""


class ContentSettings(Section):
    """Where definitions come from and results go."""

    stores: tuple[StoreSettings, ...] = ()
    gateways: tuple[str, ...] = ()
    """Addresses a CID is appended to, ending in `/ipfs/`."""
    timeout: float = Field(default=30.0, gt=0)
    result_limit: Size = "16 MiB"
    """Largest result document uploaded; logs are cut, oldest first, and the result says so."""

    @field_validator("result_limit")
    @classmethod
    def _size(cls, value: Size) -> int:
        return parse_size(value)

    @property
    def result_bytes(self) -> int:
        """Largest result document, in bytes."""
        return parse_size(self.result_limit)


class HostSettings(Section):
    """What is said of this host in its NodeAccount."""

    country: str
    """ISO 3166-1 alpha-2 code of the country the host stands in; required."""
    endpoint: str = ""
    """Address at which job owners reach this host; registered only if it fits in the account."""

    @field_validator("country")
    @classmethod
    def _country(cls, value: str) -> str:
        code = value.upper()
        if code not in COUNTRY_CODES:
            raise ValueError("must be an ISO 3166-1 alpha-2 country code such as NL or US")
        return code

    @property
    def country_number(self) -> int:
        """The ISO 3166-1 numeric code the nodes program stores."""
        return COUNTRY_CODES[self.country]


class PolicySettings(Section):
    """Which jobs this host takes."""

    price_floor: Annotated[int, Field(ge=0)] | Literal["break-even"] = 0
    """Micro-NOS per second below which a job is refused; `break-even`: what a second of work costs here, as far as this
    host's history, `earnings.tariff` and the price of NOS tell."""
    allow_images: tuple[str, ...] = ()
    """Shell-style patterns of image names; empty: every image."""
    deny_images: tuple[str, ...] = ()
    private_registries: tuple[str, ...] = ()
    """Registries in a private network that jobs may name, as `host` or `host:port`; others there are refused."""
    allow_posters: tuple[str, ...] = ()
    """Addresses; empty: every poster."""
    deny_posters: tuple[str, ...] = ()
    longest: int = Field(default=0, ge=0)
    """Longest timeout accepted, in seconds; 0: any."""
    isolation: tuple[IsolationRule, ...] = ()
    """Which jobs are kept otherwise than `engine` says."""


class StakeSettings(Section):
    """What is done when the wallet has no stake account, which every node needs."""

    create: bool = True
    amount: float = Field(default=0.0, ge=0)
    """NOS put in when the account is made."""
    days: int = Field(default=14, ge=14, le=365)


class PathSettings(Section):
    """Where the agent keeps its things."""

    data: Path = Field(default_factory=lambda: default_paths().data)
    control_socket: Path = Field(default_factory=lambda: default_paths().control_socket)
    control_group: str | None = None
    """Group whose members may use the control socket; by default only the agent's user and root."""


class JournalSettings(Section):
    """For how long the journal keeps what nothing depends on any more; 0: for ever. Jobs, receipts and pay stay."""

    event_days: float = Field(default=90, ge=0)
    events: int = Field(default=100_000, ge=0)
    """Events at most, the newest."""
    spending_days: float = Field(default=90, ge=0)
    """Fees and rent one by one; at least 2, because the daily cap counts a day back."""
    job_days: float = Field(default=180, ge=0)
    """Plan, outcome and operations of a settled job."""

    @field_validator("spending_days")
    @classmethod
    def _a_day_and_more(cls, value: float) -> float:
        if 0 < value < 2:
            raise ValueError("must be 0 or at least 2 days: the daily cap counts a day back")
        return value


class ShutdownSettings(Section):
    """What happens to the place in the queue when the agent stops."""

    keep_queue_place: bool = True
    """Whether an agent told to stop stays in the queue, for a start soon after: an upgrade, a reboot. A job that is
    given to it meanwhile waits, and its time runs."""


class HealthSettings(Section):
    """When this host is called unfit, and what it keeps in reserve."""

    ballast: Size = "64 MiB"
    """Disk held back in the data folder, given up when the journal or a result cannot be written; 0: none."""
    unknown_limit: float = Field(default=60.0, gt=0)
    """Seconds for which engine, GPU or disk may be out of sight before the lane leaves the queue."""
    clock_skew: float = Field(default=60.0, gt=0)
    """Seconds between this host's clock and the chain's from which there is a warning."""

    @field_validator("ballast")
    @classmethod
    def _size(cls, value: Size) -> int:
        return parse_size(value)

    @property
    def ballast_bytes(self) -> int:
        """The ballast, in bytes."""
        return parse_size(self.ballast)


class Settings(Section):
    """The whole tree."""

    cluster: Literal["localnet", "devnet", "mainnet"]
    """Never chosen for the user: `mainnet` is real money."""
    ids: Literal["devnet", "mainnet"] = "devnet"
    """On a localnet only: which network's program addresses it carries."""
    rpc: RpcSettings = RpcSettings()
    fees: FeeSettings = FeeSettings()
    content: ContentSettings = ContentSettings()
    host: HostSettings
    gpu: GpuSettings = GpuSettings()
    engine: EngineSettings = EngineSettings()
    network: NetworkSettings = NetworkSettings()
    api: ApiSettings = ApiSettings()
    service: ServiceSettings = ServiceSettings()
    limits: LimitSettings = LimitSettings()
    policy: PolicySettings = PolicySettings()
    resources: ResourceSettings = ResourceSettings()
    transfers: TransferSettings = TransferSettings()
    stake: StakeSettings = StakeSettings()
    journal: JournalSettings = JournalSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    health: HealthSettings = HealthSettings()
    security: SecuritySettings = SecuritySettings()
    work_proof: WorkProofSettings = WorkProofSettings()
    earnings: EarningsSettings = EarningsSettings()
    metrics: MetricsSettings = MetricsSettings()
    paths: PathSettings = Field(default_factory=PathSettings)
    lanes: tuple[LaneSettings, ...] = ()
    """One at least, unless a group makes them."""
    lane_groups: tuple[LaneGroupSettings, ...] = ()
    """Lanes of one seed, one for each GPU. What they are becomes part of `lanes` when settings are read."""

    @model_validator(mode="after")
    def _lists(self) -> Settings:
        listed = any(rule.egress is Egress.LIST for rule in self.policy.isolation)
        if listed and self.network.filter == "off":
            raise ValueError("policy.isolation: egress: list is the packet filter's work, and network.filter is off")
        return self

    @model_validator(mode="after")
    def _reachable(self) -> Settings:
        if self.cluster != "localnet" and self.service.tunnel == "direct" and self.service.public is None:
            raise ValueError("service.public: with tunnel: direct it must name where clients find this host")
        return self

    @model_validator(mode="after")
    def _lanes(self) -> Settings:
        if not self.lanes and not self.lane_groups:
            raise ValueError("lanes: name at least one, or a group in lane_groups")
        require_apart(self.lanes)
        names = [group.name for group in self.lane_groups]
        if len(set(names)) != len(names):
            raise ValueError("two groups of lanes have the same name")
        return self

    @property
    def locations(self) -> Paths:
        """Absolute paths of everything kept on disk."""
        base = default_paths()
        return base.with_data(self.paths.data.expanduser(), self.paths.control_socket.expanduser())
