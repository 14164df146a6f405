"""The kinds of fault, each a record of what it does and of what limits it.

JSON of a fault is an object with its `kind` and these members; what is left out has the value given here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from node.errors import LocalnetError

Moment = Literal["request", "answer"]
"""Whether something happens to a request before it is looked at, or to its answer when everything is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What holds for every kind."""

    kind: ClassVar[str] = ""
    lasting: ClassVar[bool] = True
    """False for what happens once, at one moment."""
    kept: ClassVar[bool] = False
    """Whether it stays in force for what it has hit when its count is used up."""
    endpoint: int | None = None
    """Number of the one endpoint that has the fault, from 0; None: all of them."""
    after: float = 0.0
    """Seconds until it begins."""
    lasts: float | None = None
    """Seconds from then until it is over; None: until it is cleared or used up."""
    count: int | None = None
    """How often it happens: requests, transactions, messages or slots; None: no limit."""
    share: float = 1.0
    """Of what it could happen to, about this share is hit (0 to 1], drawn from `seed`."""
    seed: int = 0

    def __post_init__(self) -> None:
        self.check(self.after >= 0, "after", "0 or more seconds")
        self.check(self.lasts is None or (self.lasting and self.lasts > 0), "lasts", "seconds, for what does last")
        self.check(self.count is None or self.count > 0, "count", "1 or more")
        self.check(0 < self.share <= 1, "share", "above 0, at most 1")

    def check(self, good: bool, name: str, allowed: str) -> None:
        """Raise LocalnetError unless the member is good."""
        if not good:
            raise LocalnetError(
                f"{name} of the fault {self.kind!r} cannot be {getattr(self, name)!r}", hint=f"Allowed: {allowed}."
            )


# --- requests over HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFault(Fault):
    """Hits requests; a batch is hit where one of its methods is."""

    methods: tuple[str, ...] = ()
    """Names of methods, `*` for any run of letters; none: all methods."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit(RequestFault):
    """HTTP 429 with `Retry-After`; with `allow`, only for what goes beyond so many requests in `window` seconds."""

    kind: ClassVar[str] = "429"
    retry_after: float | None = 1.0
    """Seconds of the header (rounded up); None: no header."""
    allow: int = 0
    window: float = 10.0

    def __post_init__(self) -> None:
        super(RateLimit, self).__post_init__()
        self.check(self.retry_after is None or self.retry_after >= 0, "retry_after", "0 or more seconds")
        self.check(self.window > 0, "window", "seconds above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(RequestFault):
    """Requests wait; `at`: before they are looked at, or with the answer already made."""

    kind: ClassVar[str] = "delay"
    seconds: float
    at: Moment = "request"

    def __post_init__(self) -> None:
        super(Delay, self).__post_init__()
        self.check(self.seconds >= 0, "seconds", "0 or more seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal(RequestFault):
    """A JSON-RPC error of choice; on sockets too."""

    kind: ClassVar[str] = "error"
    code: int = -32603
    message: str | None = None
    """None: a node's usual words for the code."""
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer(RequestFault):
    """An HTTP status of choice with any body; 200 and garbage is a body that is no JSON."""

    kind: ClassVar[str] = "http"
    status: int = 503
    body: str = ""

    def __post_init__(self) -> None:
        super(HttpAnswer, self).__post_init__()
        self.check(200 <= self.status <= 599, "status", "200 to 599")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(RequestFault):
    """The connection ends without an answer; `at`: before the request is looked at, or when all is done."""

    kind: ClassVar[str] = "cut"
    at: Moment = "request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Down(Fault):
    """The endpoint is gone: no answer to any request, sockets closed and no new ones."""

    kind: ClassVar[str] = "down"


# --- transactions that clients send


@dataclass(frozen=True, slots=True, kw_only=True)
class SendFault(Fault):
    """Hits transactions that an endpoint has accepted and given a signature for."""

    mentions: tuple[str, ...] = ()
    """Only transactions that name one of these addresses; none: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(SendFault):
    """The transaction does not land while the fault is set, however often the same bytes are sent to the endpoint.

    `count` counts transactions; used up, the fault stays set for those it has hit.
    """

    kind: ClassVar[str] = "drop"
    kept: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Lose(SendFault):
    """This one sending is lost; the same bytes land when they are sent again. `count` counts sendings."""

    kind: ClassVar[str] = "lose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Late(SendFault):
    """The transaction lands so many slots later, however often it is sent until then.

    If its blockhash is too old by then, it never does.

    `count` counts transactions.
    """

    kind: ClassVar[str] = "late"
    slots: int = 10

    def __post_init__(self) -> None:
        super(Late, self).__post_init__()
        self.check(self.slots > 0, "slots", "1 or more")


# --- sockets


@dataclass(frozen=True, slots=True, kw_only=True)
class Mute(Fault):
    """Sockets stay open and nothing comes out of them; what was to come is lost. `count` counts messages."""

    kind: ClassVar[str] = "mute"
    subscriptions: tuple[str | int, ...] = ()
    """Only notifications of these kinds (`program`) or subscription numbers; none: everything, answers too."""
    sockets: Literal["all", "open"] = "all"
    """`open`: only those that are open when the fault begins, so that a new socket is a good one."""
    pongs: bool = True
    """Whether pings are still answered, as by a proxy in front of a dead node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnect(Fault):
    """All open sockets end, without a closing handshake."""

    kind: ClassVar[str] = "disconnect"
    lasting: ClassVar[bool] = False


# --- the chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall(Fault):
    """Time passes and no slot does; transactions wait for the next block. `count` counts slots that do not come."""

    kind: ClassVar[str] = "stall"


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip(Fault):
    """Slots pass without a block; transactions wait for the next block. `count` counts slots."""

    kind: ClassVar[str] = "skip"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag(Fault):
    """The endpoint shows the chain of some slots ago (`slots`), or of one slot for good (`slot`); it still sends."""

    kind: ClassVar[str] = "lag"
    slots: int | None = None
    slot: int | None = None

    def __post_init__(self) -> None:
        super(Lag, self).__post_init__()
        self.check((self.slots is None) != (self.slot is None), "slots", "either `slots` or `slot`, and not both")
        self.check(self.slots is None or self.slots > 0, "slots", "1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork(Fault):
    """Every transaction after a slot is undone: after `slot`, or of the last `slots`, or all that is not finalized.

    Blocks after it are gone with their blockhashes. Copies of the transactions may land again; with `again`, the
    cluster itself puts them into the block that comes so many slots later, where they may now fail.
    """

    kind: ClassVar[str] = "fork"
    lasting: ClassVar[bool] = False
    slots: int | None = None
    slot: int | None = None
    again: int | None = None

    def __post_init__(self) -> None:
        super(Fork, self).__post_init__()
        self.check(self.slots is None or self.slot is None, "slots", "either `slots` or `slot`, and not both")
        self.check(self.slots is None or self.slots > 0, "slots", "1 or more")
        self.check(self.again is None or self.again > 0, "again", "1 or more slots")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire(Fault):
    """All blockhashes of now are too old at once.

    `blocks`: so many blocks are made in an instant, and heights say the same. `forget`: the cluster does not know
    the hashes any more, although by their last valid height they are good, as after a fork of long ago.
    """

    kind: ClassVar[str] = "expire"
    lasting: ClassVar[bool] = False
    how: Literal["blocks", "forget"] = "blocks"


KINDS: tuple[type[Fault], ...] = (
    RateLimit,
    Delay,
    Refusal,
    HttpAnswer,
    Cut,
    Down,
    Drop,
    Lose,
    Late,
    Mute,
    Disconnect,
    Stall,
    Skip,
    Lag,
    Fork,
    Expire,
)
BY_NAME = {each.kind: each for each in KINDS}
