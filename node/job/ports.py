"""The `expose` part of a definition: ports, ranges, literals and health checks."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import TypeAdapter, ValidatorFunctionWrapHandler, WrapValidator

from node.job.rules import (
    Closed,
    Flag,
    Number,
    Spread,
    Text,
    expects,
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


class HttpHealthCheck(Closed):
    """A request whose status is compared."""

    type: Annotated[Literal["http"], expects('"http"', one_of("http"))] = required()
    path: Text = required()
    method: Annotated[
        Literal["GET", "POST", "PUT", "DELETE"],
        expects('("DELETE" | "GET" | "POST" | "PUT")', one_of("DELETE", "GET", "POST", "PUT")),
    ] = required()
    expected_status: Number = required()
    headers: Annotated[dict[str, Text] | None, expects("(Record<string, string> | undefined)", is_map)] = optional()
    body: Any = None
    continuous: Flag = required()


class WebSocketHealthCheck(Closed):
    """A connection whose first answer is compared."""

    type: Annotated[Literal["websocket"], expects('"websocket"', one_of("websocket"))] = required()
    expected_response: Text = required()
    continuous: Flag = required()


def _health_check(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "http":
        return HttpHealthCheck.model_validate(value)
    if kind == "websocket":
        return WebSocketHealthCheck.model_validate(value)
    raise wrong("(HttpHealthCheck | WebSocketHealthCheck)")


HealthCheck = Annotated[HttpHealthCheck | WebSocketHealthCheck, WrapValidator(_health_check)]

_PORT_TYPES = ("api", "none", "web", "webapi", "websocket")


HealthChecksOrNone = Annotated[tuple[HealthCheck, ...] | None, expects("(Array<HealthCheck> | undefined)", is_list)]
ServiceTypeOrNone = Annotated[
    Literal["api", "none", "web", "webapi", "websocket"] | None,
    expects('("api" | "none" | "web" | "webapi" | "websocket" | undefined)', one_of(*_PORT_TYPES)),
]


class ExposedPort(Closed):
    """One port with its health checks."""

    port: Number = required()
    type: ServiceTypeOrNone = optional()
    health_checks: HealthChecksOrNone = optional()


Exposed = int | float | str | Spread | ExposedPort
_PORT_RANGE = re.compile(r"([0-9]+)-([0-9]+)\Z", re.ASCII)


def _exposed_object(value: object) -> Spread | ExposedPort:
    if isinstance(value, dict) and "__spread__" in value:
        return Spread.model_validate(value)
    if isinstance(value, dict) and "port" in value:
        return ExposedPort.model_validate(value)
    raise wrong("(__type | ExposedPort)")


def _exposed(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if is_number(value):
        return value
    if is_text(value):
        if not is_literal(value):
            raise wrong("string & TagBase<__type>")
        return value
    if is_object(value):
        return _exposed_object(value)
    raise wrong("((__type & TagBase<__type>) | (string & TagBase<__type>) | ExposedPort | number)")


def ports_are_apart(items: list[Any]) -> bool:
    """No port twice and none within a range. Ranges are understood here, though refused one by one later."""
    numbers: set[float] = set()
    ranges: list[tuple[float, float]] = []
    for item in items:
        if item is None:
            return False
        port = item.get("port") if isinstance(item, dict) else item
        if is_literal(item) or (isinstance(item, dict) and "__spread__" in item):
            continue
        if isinstance(port, int | float) and not isinstance(port, bool):
            if port in numbers:
                return False
            numbers.add(port)
        elif isinstance(port, str):
            match = _PORT_RANGE.match(port)
            if match is None:
                return False
            ranges.append((float(match[1]), float(match[2])))
    return not _collide(numbers, ranges)


def _collide(numbers: set[float], ranges: list[tuple[float, float]]) -> bool:
    ranges = sorted((min(pair), max(pair)) for pair in ranges)
    if any(later[0] <= earlier[1] for earlier, later in pairwise(ranges)):
        return True
    points = sorted(numbers)
    at = 0
    for low, high in ranges:
        while at < len(points) and points[at] < low:
            at += 1
        if at < len(points) and points[at] <= high:
            return True
    return False


_EXPOSED: TypeAdapter[tuple[Exposed, ...]] = TypeAdapter(tuple[Annotated[Exposed, WrapValidator(_exposed)], ...])


def _expose(value: object, handler: ValidatorFunctionWrapHandler) -> object:
    del handler
    if isinstance(value, list):
        if not ports_are_apart(value):
            raise wrong("Array<> & TagBase<__type>")
        return _EXPOSED.validate_python(value)
    if is_number(value):
        return value
    if is_text(value):
        if not is_literal(value):
            raise wrong("string & TagBase<__type>")
        return value
    if is_map(value):
        return _exposed_object(value)
    raise wrong(
        "((Array<ExposeBase> & TagBase<__type>) | (__type & TagBase<__type>) | (string & TagBase<__type>)"
        " | ExposedPort | number | undefined)"
    )


ExposeOrNone = Annotated[tuple[Exposed, ...] | Exposed | None, WrapValidator(_expose)]
