"""The job definition as models: what `@nosana/types` 2.1.6 accepts, no more and no less.

Texts given to `expects` are the network's names of its types. Field order is the order of its messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import ConfigDict, Field, PrivateAttr, TypeAdapter, ValidatorFunctionWrapHandler, WrapValidator

from node.job.ports import ExposeOrNone
from node.job.remote import ResourcesOrNone
from node.job.rules import (
    Closed,
    FlagOrNone,
    NumberOrNone,
    Text,
    TextOrNone,
    TextOrNumber,
    as_object,
    expects,
    expects_object,
    is_list,
    is_map,
    is_number,
    is_object,
    is_text,
    one_of,
    optional,
    required,
    wrong,
)

Texts = tuple[Text, ...]
_TEXTS: TypeAdapter[Texts] = TypeAdapter(Texts)


def text_or_texts(expected: str) -> WrapValidator:
    """A rule: a text, or a list of texts."""

    def check(value: object, handler: ValidatorFunctionWrapHandler) -> object:
        del handler
        if is_text(value):
            return value
        if is_list(value):
            return _TEXTS.validate_python(value)
        raise wrong(expected)

    return WrapValidator(check)


CommandOrNone = Annotated[str | Texts | None, text_or_texts("(CMDArray | string | undefined)")]
EnvOrNone = Annotated[dict[str, Text] | None, expects("(Env | undefined)", is_map)]

# --- operations -----------------------------------------------------------------------------------------


class Volume(Closed):
    """A named volume and where it is mounted."""

    name: Text = required()
    dest: Text = required()


class RestartOnFailure(Closed):
    """Restart after a failure, a number of times."""

    policy: Annotated[Literal["on-failure"], expects('"on-failure"', one_of("on-failure"))] = required()
    restart_tries: NumberOrNone = optional()


def _restart(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if is_object(value):
        return RestartOnFailure.model_validate(as_object(value))
    if one_of("always", "no", "on-failure", "unless-stopped")(value):
        return value
    raise wrong('("always" | "no" | "on-failure" | "unless-stopped" | __type.o4 | undefined)')


class DockerAuth(Closed):
    """A registry login."""

    username: TextOrNone = optional()
    password: TextOrNone = optional()
    email: TextOrNone = optional()
    server: TextOrNone = optional()


class Authentication(Closed):
    """Logins that an operation needs."""

    docker: Annotated[DockerAuth | None, expects("(DockerAuth | undefined)", is_map)] = optional()


class ContainerRun(Closed):
    """Arguments of an operation that runs a container."""

    image: Text = required()
    aliases: Annotated[str | Texts | None, text_or_texts("(Aliases | string | undefined)")] = optional()
    cmd: CommandOrNone = optional()
    volumes: Annotated[
        tuple[Annotated[Volume, expects_object("Volume")], ...] | None,
        expects("(Array<Volume> | undefined)", is_list),
    ] = optional()
    expose: ExposeOrNone = optional()
    gpu: FlagOrNone = optional()
    work_dir: TextOrNone = optional()
    entrypoint: CommandOrNone = optional()
    env: EnvOrNone = optional()
    restart_policy: Annotated[str | RestartOnFailure | None, WrapValidator(_restart)] = optional()
    private: FlagOrNone = optional()
    resources: ResourcesOrNone = optional()
    authentication: Annotated[Authentication | None, expects("(Authentication | undefined)", is_map)] = optional()


class ContainerCreateVolume(Closed):
    """Arguments of an operation that makes a volume."""

    name: Text = required()


def _args(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if not is_object(value):
        raise wrong("(ContainerCreateVolume | ContainerRun)")
    # The arguments decide, not the operation's type: that is how the network tells them apart.
    if isinstance(value, dict) and "image" in value:
        return ContainerRun.model_validate(value)
    if isinstance(value, dict) and "name" in value:
        return ContainerCreateVolume.model_validate(value)
    raise wrong("(ContainerRun | ContainerCreateVolume)")


_LOG_TYPES = ("nodeerr", "stderr", "stdin", "stdout")
LogType = Annotated[
    Literal["nodeerr", "stderr", "stdin", "stdout"],
    expects('("nodeerr" | "stderr" | "stdin" | "stdout")', one_of(*_LOG_TYPES)),
]


def _log_types(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    if not isinstance(value, list):
        raise wrong("(Array<StdOption> & UniqueLogTypeTag)")
    # As a JavaScript Set sees them: each array and object is itself only.
    seen = {(type(item).__name__, id(item) if is_object(item) else item) for item in value}
    if not 1 <= len(value) <= 4 or len(seen) != len(value):
        raise wrong("Array<> & UniqueLogTypeTag")
    return cast(object, handler(value))


class OperationResult(Closed):
    """A result picked out of certain log lines by a regex."""

    regex: Text = required()
    logType: Annotated[tuple[LogType, ...], WrapValidator(_log_types)] = required()  # noqa: N815


def _result(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if is_text(value):
        return value
    if is_object(value):
        return OperationResult.model_validate(as_object(value))
    raise wrong("(OperationResult | string)")


class Execution(Closed):
    """When an operation runs, beside others that it names."""

    group: TextOrNone = optional()
    depends_on: Texts = ()
    stop_if_dependent_stops: FlagOrNone = optional()


class ExecutionAlone(Closed):
    """When an operation runs, without dependencies."""

    group: TextOrNone = optional()
    depends_on: Annotated[None, expects("undefined", lambda _: False)] = optional()
    stop_if_dependent_stops: Annotated[None, expects("undefined", lambda _: False)] = optional()


def _execution(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if not isinstance(value, dict):
        raise wrong(
            "(undefined | { group?: string | undefined; } & { depends_on: string[]; stop_if_dependent_stops?: "
            "boolean | undefined; } | { group?: string | undefined; } & { depends_on?: undefined; "
            "stop_if_dependent_stops?: undefined; })"
        )
    names = value.get("depends_on")
    if isinstance(names, list) and all(is_text(name) for name in names):
        return Execution.model_validate(value)
    return Execution.model_construct(group=ExecutionAlone.model_validate(value).group)


def _operation_id(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    # Only U+0020 is refused; other blanks and the empty text pass.
    if not isinstance(value, str) or " " in value:
        raise wrong("string & TagBase<__type>")
    return cast(object, handler(value))


ResultsOrNone = Annotated[
    dict[str, Annotated[str | OperationResult, WrapValidator(_result)]] | None,
    expects("(OperationResults | undefined)", is_map),
]
ExecutionOrNone = Annotated[Execution | None, WrapValidator(_execution)]
OperationType = Annotated[
    Literal["container/create-volume", "container/run"],
    expects('("container/create-volume" | "container/run")', one_of("container/create-volume", "container/run")),
]


class Operation(Closed):
    """One step of a job."""

    type: OperationType = required()
    id: Annotated[str, WrapValidator(_operation_id)] = required()
    args: Annotated[ContainerRun | ContainerCreateVolume, WrapValidator(_args)] = required()
    results: ResultsOrNone = optional()
    execution: ExecutionOrNone = optional()


def unique_operations(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    """A rule: a list of operations, each with an id of its own."""
    if not isinstance(value, list):
        raise wrong("(Ops & UniqueById)")
    ids = [item.get("id") if isinstance(item, dict) else None for item in value]
    if not all(is_text(name) for name in ids) or len(set(ids)) != len(ids):
        raise wrong("Array<> & UniqueById")
    return cast(object, handler(value))


# --- the whole --------------------------------------------------------------------------------------------

_META: TypeAdapter[tuple[str | int | float, ...]] = TypeAdapter(tuple[TextOrNumber, ...])


def _meta_leaf(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if is_list(value):
        return _META.validate_python(value)
    if is_text(value) or is_number(value):
        return value
    raise wrong("(Array<string | number> | number | string)")


_META_MAP: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Annotated[Any, WrapValidator(_meta_leaf)]])


def _meta_value(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if is_map(value):
        return _META_MAP.validate_python(value)
    if is_list(value):
        return _META.validate_python(value)
    if is_text(value) or is_number(value):
        return value
    raise wrong(
        "(Array<string | number> | Record<string, string | number | (string | number)[]> | number | string | undefined)"
    )


class Meta(Closed):
    """Free information, ignored by nodes."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, Annotated[Any, WrapValidator(_meta_value)]] = Field(init=False)

    trigger: TextOrNone = optional()
    system_resources: Annotated[
        dict[str, TextOrNumber] | None, expects("(Record<string, string | number> | undefined)", is_map)
    ] = optional()


class LogisticArgs(Closed):
    """Where a definition or a result travels to."""

    endpoint: TextOrNone = optional()


class Logistic(Closed):
    """One direction of travel."""

    type: Annotated[Literal["api", "api-listen"], expects('("api" | "api-listen")', one_of("api", "api-listen"))] = (
        required()
    )
    args: Annotated[LogisticArgs, expects("Partial<__type>", is_map)] = required()


class Logistics(Closed):
    """How definition and result travel when they are not pinned."""

    send: Annotated[Logistic | None, expects_object("Logistic")] = required()
    """None in definitions that only the older validator accepts."""
    receive: Annotated[Logistic | None, expects_object("Logistic")] = required()


class Global(Closed):
    """Defaults of all operations."""

    image: TextOrNone = optional()
    gpu: FlagOrNone = optional()
    entrypoint: CommandOrNone = optional()
    env: EnvOrNone = optional()
    work_dir: TextOrNone = optional()
    variables: Annotated[dict[str, Text] | None, expects("(Variables | undefined)", is_map)] = optional()


class Definition(Closed):
    """A job definition that keeps all rules."""

    type: Annotated[Literal["container"], expects('"container"', one_of("container"))] = required()
    version: Annotated[Literal["0.1"], expects('"0.1"', one_of("0.1"))] = required()
    logistics: Annotated[Logistics | None, expects_object("(Logistics | undefined)")] = optional()
    deployment_id: TextOrNone = optional()
    meta: Annotated[Meta | None, expects("(Meta | undefined)", is_map)] = optional()
    global_: Annotated[Global | None, expects("(Global | undefined)", is_map)] = optional("global")
    ops: Annotated[tuple[Operation, ...], WrapValidator(unique_operations)] = required()

    _source: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def source(self) -> Mapping[str, Any]:
        """The document itself, as parsed."""
        return self._source
