"""Every error this product raises on purpose, in one tree.

GpunodeError
├── UsageError                 a command was given arguments that make no sense together
├── SettingsError              a setting, the settings file or an environment variable is wrong
├── WalletError                a key file cannot be read, trusted or used
│   └── SpendingRefused        the spending policy does not let this transaction be signed
├── ChainError                 the cluster or what it holds is not as needed
│   ├── RpcUnavailable         no endpoint answered in time; worth trying again
│   │   ├── RpcBusy            an endpoint limits this host
│   │   └── RpcBehind          an endpoint has not reached the slot that was demanded
│   ├── RpcRejected            an endpoint answered with a JSON-RPC error
│   ├── TransactionFailed      a program refused the transaction (named error and logs)
│   ├── WrongCluster           the endpoint serves another chain than the one expected
│   ├── AccountMissing         an account that must exist does not
│   └── AccountMalformed       an account's bytes do not decode
├── MarketError                the market cannot be joined or a job cannot be settled
│   ├── FundsMissing           not enough SOL or NOS; says how much of what
│   ├── StakeMissing           no stake account, or less stake than the market asks
│   ├── StakeRefused           the stake is in a state that does not allow what was asked
│   └── AccessKeyMissing       the market asks for a key token this wallet does not hold
├── ContentError               content-addressed bytes
│   ├── ContentUnavailable     no source had the bytes; worth trying again
│   ├── ContentMismatch        bytes were served that do not hash to the CID
│   ├── ContentTooLarge        more bytes than the limit allows
│   ├── ResourceFailed         remote data that a job wants mounted cannot be had
│   └── StoreRejected          a store refused an upload or answered another CID
├── JobError                   a job's definition or policy
│   ├── DefinitionInvalid      the definition breaks the schema; carries the list of errors
│   ├── PlanInvalid            its operations depend on each other in a way that cannot be run
│   ├── LiteralUnresolved      a literal stands for nothing, or for what does not fit its place
│   ├── TravelFailed           a confidential job's definition did not come, or its result did not go
│   └── JobRefused             valid, but this host will not run it; says why
├── ContainerError             the container engine
│   ├── EngineUnavailable      the engine does not answer; worth trying again
│   ├── EngineRejected         the engine refused a request
│   └── ImagePullFailed        the image cannot be had
├── ServiceError               an exposed service, its listener or its tunnel
├── GpuError                   a GPU, its driver or its provider
├── ProofError                 a receipt, host card or bundle is malformed or does not verify
├── JournalError               the journal cannot be opened, read or written
├── ControlError               the control socket: no agent, or it refused
├── OwnerRefused               what a job's owner asks is not possible now
│   └── NotWaiting             the job waits for no definition, or nobody's collecting its result
├── LocalnetError              the embedded chain
└── LaneDegraded               a lane cannot serve; its reason is for a person to act on
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class GpunodeError(Exception):
    """Base of all errors raised on purpose.

    `message` is one line for people; `hint` says what to do about it (may be empty when the message does).
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message

    @property
    def line(self) -> str:
        """What is wrong and what to do about it, in one line."""
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(GpunodeError):
    """A command was given arguments that make no sense together (exit status 2)."""


class SettingsError(GpunodeError):
    """A setting is wrong; the message names file, key, value and what is allowed."""


class WalletError(GpunodeError):
    """A key file cannot be read, trusted or used."""


class SpendingRefused(WalletError):
    """The spending policy does not let this transaction be signed."""


class ChainError(GpunodeError):
    """The cluster, or what it holds, is not as needed."""


class RpcUnavailable(ChainError):
    """No endpoint answered in time (connection, time-out, HTTP 429 or 5xx). Worth trying again."""


class RpcBusy(RpcUnavailable):
    """An endpoint limits this host. `seconds`: for how long it asks to be left alone; None where it does not say."""

    def __init__(self, message: str, *, seconds: float | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds


class RpcBehind(RpcUnavailable):
    """An endpoint answered, and has not reached the slot that was demanded."""


class RpcRejected(ChainError):
    """An endpoint answered with a JSON-RPC error that a retry will not change.

    `code` is the JSON-RPC error code, `data` its data member as received.
    """

    def __init__(self, message: str, *, code: int, data: object = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.data = data


class TransactionFailed(ChainError):
    """A program refused the transaction, in simulation or on chain.

    `error` is the named program error from the AnchorError log line (numbers collide between programs, so
    only the name identifies it), or the runtime's own error name; `logs` are the program logs.
    """

    def __init__(self, message: str, *, error: str, logs: Sequence[str] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.error = error
        self.logs = tuple(logs)


class WrongCluster(ChainError):
    """The endpoint serves another chain than the one expected (genesis hash)."""


class AccountMissing(ChainError):
    """An account that must exist does not."""


class AccountMalformed(ChainError):
    """An account's bytes do not decode as what they should be."""


class MarketError(GpunodeError):
    """The market cannot be joined, or a job cannot be settled."""


class FundsMissing(MarketError):
    """Not enough SOL or NOS; the message says how much of what is missing."""


class StakeMissing(MarketError):
    """No stake account, or less stake than the market asks."""


class StakeRefused(MarketError):
    """The stake is in a state that does not allow what was asked (locked, or being taken out)."""


class AccessKeyMissing(MarketError):
    """The market asks for an access-key token that this wallet does not hold."""


class ContentError(GpunodeError):
    """Content-addressed bytes: reading, checking or storing them."""


class ContentUnavailable(ContentError):
    """No source had the bytes. Worth trying again."""


class ContentMismatch(ContentError):
    """Bytes were served that do not hash to the CID asked for."""


class ContentTooLarge(ContentError):
    """More bytes than the limit allows."""


class ContentNotFile(ContentError):
    """What a CID names is no file, proven by its hash: a directory, for example. No source can do better."""


class ResourceFailed(ContentError):
    """Remote data that a job wants mounted cannot be had; `status` is the server's HTTP status where it gave one."""

    def __init__(self, message: str, *, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class StoreRejected(ContentError):
    """A store refused an upload, or answered with another CID than the one computed here."""


class JobError(GpunodeError):
    """A job's definition, or this host's policy towards it."""


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule of a definition, in the shape the network uses: a path such as `$input.ops[0].args`."""

    path: str
    expected: str
    value: object = None


class DefinitionInvalid(JobError):
    """The definition breaks the schema; `violations` lists how."""

    def __init__(self, message: str, *, violations: Sequence[Violation], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.violations = tuple(violations)


class PlanInvalid(JobError):
    """The operations depend on each other in a way that cannot be run; `messages` says how, one text per fault."""

    def __init__(self, messages: Sequence[str], *, hint: str = "") -> None:
        super().__init__(f"the operations cannot be put in order: {'; '.join(messages)}", hint=hint)
        self.messages = tuple(messages)


class LiteralUnresolved(JobError):
    """A literal of an operation stands for nothing, or for what does not fit its place; the operation fails by it."""


class TravelFailed(JobError):
    """A confidential job's definition did not come, or its result did not reach its owner."""


class JobRefused(JobError):
    """A valid definition that this host will not run; the message says why."""


class ContainerError(GpunodeError):
    """The container engine."""


class EngineUnavailable(ContainerError):
    """The engine does not answer. Worth trying again."""


class EngineRejected(ContainerError):
    """The engine refused a request; `status` is its HTTP status."""

    def __init__(self, message: str, *, status: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ImagePullFailed(ContainerError):
    """The image cannot be had; `status` is the engine's or registry's HTTP status where one was said."""

    def __init__(self, message: str, *, status: int | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class FilterError(ContainerError):
    """The packet filter that keeps jobs away from the host's network cannot be seen, or is not in place."""


class ServiceError(GpunodeError):
    """An exposed service, the listener for it or the tunnel to it."""


class GpuError(GpunodeError):
    """A GPU, its driver or its provider."""


class ProofError(GpunodeError):
    """A receipt, host card or bundle is malformed or does not verify."""


class JournalError(GpunodeError):
    """The journal cannot be opened, read or written."""


class ControlError(GpunodeError):
    """The control socket: no agent answers there, or it refused."""


class OwnerRefused(GpunodeError):
    """What a job's owner asks is not possible now. The message is the network's word for it, where it has one:
    `GROUP_NOT_FOUND`, `GROUP_NOT_ACTIVE`, `OPERATION_NOT_FOUND`, `OPERATION_STOPPING`, `OPERATION_RESTARTING`."""


class NotWaiting(OwnerRefused):
    """A definition was sent, or a result asked for, and the job does not wait for it."""


class LocalnetError(GpunodeError):
    """The embedded chain cannot do what was asked."""


class LaneDegraded(GpunodeError):
    """A lane cannot serve; the message is a reason that a person can act on."""
