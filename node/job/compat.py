"""The job definition as an older validator of the network sees it: what `@nosana/sdk` 0.4.69 accepts.

Against the one of `models.py` it takes any version, blanks in ids, free `meta`, halves of `logistics`, ranges of ports
and `output` and `required_vram`; it refuses restart policies, a bare object as `expose`, `chunked`, newer fields, and
any number of volumes but one. Paths of errors are those of that validator.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails

from node.errors import Violation
from node.job.models import (
    Authentication,
    CommandOrNone,
    ContainerCreateVolume,
    ContainerRun,
    Definition,
    EnvOrNone,
    ExecutionOrNone,
    Global,
    Logistic,
    Logistics,
    Operation,
    OperationType,
    ResultsOrNone,
    Volume,
    text_or_texts,
    unique_operations,
)
from node.job.ports import HealthChecksOrNone, ServiceTypeOrNone, ports_are_apart
from node.job.remote import REMOVE_IF_EMPTY, S3Base, by_bucket, by_type, resource_rule
from node.job.rules import (
    ABSENT,
    Closed,
    FlagOrNone,
    LiteralText,
    NumberOrNone,
    Text,
    TextOrNone,
    TextOrNumber,
    expects,
    expects_object,
    is_list,
    is_literal,
    is_map,
    is_number,
    is_object,
    is_text,
    one_of,
    optional,
    required,
    wrong,
)

_RANGE = re.compile(r"([0-9]+)-([0-9]+)\Z", re.ASCII)
_PORT_TEXT = "(string & (TagBase<__type> | TagBase<__type>))"
_EXPOSE = (
    f"((Array<ExposeArrayElement> & TagBase<__type>) | (__type.o11 & TagBase<__type>) | {_PORT_TEXT}"
    " | number | undefined)"
)


def is_range(value: object) -> bool:
    """A range of ports `a-b`, a below b."""
    match = _RANGE.match(value) if isinstance(value, str) else None
    return match is not None and float(match[1]) < float(match[2])


def _port(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if is_number(value) or is_range(value):
        return value
    raise wrong("string & TagBase<__type>" if is_text(value) else "((string & TagBase<__type>) | number)")


class SpreadAlone(Closed):
    """A marker without more keys."""

    spread: LiteralText = required("__spread__")


class ExposedPort(Closed):
    """One port, or a range, with its health checks."""

    port: Annotated[int | float | str, WrapValidator(_port)] = required()
    type: ServiceTypeOrNone = optional()
    health_checks: HealthChecksOrNone = optional()


def _text(value: object) -> object:
    if is_literal(value) or is_range(value):
        return value
    raise wrong(_PORT_TEXT)


def _element(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if is_number(value):
        return value
    if is_text(value):
        return _text(value)
    if isinstance(value, dict) and "port" in value:
        return ExposedPort.model_validate(value)
    if isinstance(value, dict) and "__spread__" in value:
        return SpreadAlone.model_validate(value)
    if is_object(value):
        raise wrong("(ExposedPort | __type.o11)")
    raise wrong(f"((__type.o11 & TagBase<__type>) | {_PORT_TEXT} | ExposedPort | number)")


_ELEMENTS: TypeAdapter[tuple[Any, ...]] = TypeAdapter(tuple[Annotated[Any, WrapValidator(_element)], ...])


def _expose(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if isinstance(value, list):
        wrongs = _wrong_elements(value)
        # An array is an object as well, and that object could have been a marker: both are told.
        if wrongs:
            raise ValidationError.from_exception_data("expose", [*wrongs, *_wrong_marker(value)])
        return value
    if is_number(value):
        return value
    if is_text(value):
        return _text(value)
    if isinstance(value, dict):
        if wrongs := _wrong_marker(value):
            raise ValidationError.from_exception_data("expose", wrongs)
        return value
    raise wrong(_EXPOSE)


def _wrong_elements(value: list[Any]) -> list[InitErrorDetails]:
    if not ports_are_apart(value):
        return [InitErrorDetails(type=wrong("Array<> & TagBase<__type>"), input=value)]
    try:
        _ELEMENTS.validate_python(value)
    except ValidationError as error:
        return [_detail(each) for each in error.errors(include_url=False)]
    return []


def _wrong_marker(value: dict[str, Any] | list[Any]) -> list[InitErrorDetails]:
    members = {str(at): item for at, item in enumerate(value)} if isinstance(value, list) else value
    found = []
    literal = members.get("__spread__", ABSENT)
    if not is_literal(literal):
        found.append(
            InitErrorDetails(
                type=wrong("string & TagBase<__type>" if is_text(literal) else "(string & TagBase<__type>)"),
                loc=("__spread__",),
                input=literal,
            )
        )
    if len(members) != 1:
        found += [
            InitErrorDetails(type="extra_forbidden", loc=(name,), input=item)
            for name, item in members.items()
            if name != "__spread__"
        ]
    return found


def _detail(error: ErrorDetails) -> InitErrorDetails:
    kind = wrong(error["ctx"]["expected"]) if error["type"] == "expected" else "extra_forbidden"
    return {"type": kind, "loc": error["loc"], "input": error["input"]}


def _volumes(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    # The older type is a tuple of one.
    if isinstance(value, list) and len(value) != 1:
        raise wrong("[__type.o8]")
    if not is_list(value):
        raise wrong("([{ name: string; dest: string; }] | undefined)")
    return handler(value)


def _resource_model(entry: dict[str, object]) -> type[Closed]:
    return by_bucket(entry) or by_type(entry) or (SpreadAlone if "__spread__" in entry else S3Base)


class OlderRun(Closed):
    """Arguments of an operation that runs a container."""

    image: Text = required()
    aliases: Annotated[Any, text_or_texts("(Array<string> | string | undefined)")] = optional()
    cmd: CommandOrNone = optional()
    volumes: Annotated[tuple[Annotated[Volume, expects_object("__type.o8")], ...] | None, WrapValidator(_volumes)] = (
        optional()
    )
    expose: Annotated[Any, WrapValidator(_expose)] = optional()
    private: FlagOrNone = optional()
    gpu: FlagOrNone = optional()
    work_dir: TextOrNone = optional()
    output: TextOrNone = optional()
    entrypoint: CommandOrNone = optional()
    env: EnvOrNone = optional()
    required_vram: NumberOrNone = optional()
    resources: Annotated[
        tuple[Annotated[Any, WrapValidator(resource_rule(_resource_model))], ...] | None,
        expects(f'(Array<Resource | SpreadMarker | "{REMOVE_IF_EMPTY}"> | undefined)', is_list),
    ] = optional()
    authentication: Annotated[Authentication | None, expects("(__type.o16 | undefined)", is_map)] = optional()


def _args(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if isinstance(value, dict) and "image" in value:
        return OlderRun.model_validate(value)
    if isinstance(value, dict) and "name" in value:
        return ContainerCreateVolume.model_validate(value)
    raise wrong("(__type.o7 | __type.o17)" if is_object(value) else "(__type.o17 | __type.o7)")


class OlderOperation(Closed):
    """One step of a job."""

    type: OperationType = required()
    id: Text = required()
    args: Annotated[Any, WrapValidator(_args)] = required()
    results: ResultsOrNone = optional()
    execution: ExecutionOrNone = optional()


class OlderMeta(Closed):
    """Free information, of any shape."""

    model_config = ConfigDict(extra="allow", frozen=True)

    trigger: TextOrNone = optional()
    system_resources: Annotated[dict[str, TextOrNumber] | None, expects("(__type.o3 | undefined)", is_map)] = optional()


class OlderLogistics(Closed):
    """How definition and result travel; either half may be missing."""

    send: Annotated[Logistic | None, expects_object("(SendJobDefinationLogicstics | undefined)")] = optional()
    receive: Annotated[Logistic | None, expects_object("(ReceiveJobResultLogicstics | undefined)")] = optional()


class OlderDefinition(Closed):
    """A job definition that keeps the older rules."""

    type: Annotated[Literal["container"], expects('"container"', one_of("container"))] = required()
    version: Text = required()
    logistics: Annotated[OlderLogistics | None, expects("(JobLogistics | undefined)", is_map)] = optional()
    deployment_id: TextOrNone = optional()
    meta: Annotated[OlderMeta | None, expects("(__type.o2 | undefined)", is_map)] = optional()
    global_: Annotated[Global | None, expects("(__type.o4 | undefined)", is_map)] = optional("global")
    ops: Annotated[tuple[OlderOperation, ...], WrapValidator(unique_operations)] = required()


_NAMES = {
    "__type.o5": "__type.o15",
    "(CMDArray | string | undefined)": "(Array<string> | string | undefined)",
    "(Variables | undefined)": "(__type.o6 | undefined)",
    "(Array<StdOption> & UniqueLogTypeTag)": "(Array<StdOptions> & UniqueLogTypeTag)",
}


def older_name(violation: Violation) -> Violation:
    """A violation with the older validator's name for what was expected."""
    expected, path = violation.expected, violation.path
    if expected == "(Env | undefined)":
        expected = "(__type.o5 | undefined)" if path.startswith("$input.global") else "(__type.o14 | undefined)"
    elif expected == "Partial<__type>":
        expected = "__type.o1" if path.startswith("$input.logistics.receive") else "__type"
    elif expected.startswith(f'("{REMOVE_IF_EMPTY}" | (__type &'):
        expected = expected.replace("(__type &", "(__type.o11 &")
    return replace(violation, expected=_NAMES.get(expected, expected))


def definition_of(older: OlderDefinition) -> Definition:
    """The same as the models that all others work with."""
    return Definition.model_construct(
        type=older.type,
        version=older.version,
        logistics=None
        if older.logistics is None
        else Logistics.model_construct(send=older.logistics.send, receive=older.logistics.receive),
        deployment_id=older.deployment_id,
        global_=older.global_,
        ops=tuple(_operation(operation) for operation in older.ops),
    )


def _operation(older: OlderOperation) -> Operation:
    args = older.args
    return Operation.model_construct(
        type=older.type,
        id=older.id,
        args=ContainerRun.model_construct(image=args.image) if isinstance(args, OlderRun) else args,
        results=older.results,
        execution=older.execution,
    )
