"""Which literals that stand for nothing yet may still come to stand for something."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from node.job.literals import result_named
from node.job.order import Step, groups_of
from node.job.services import known_ports
from node.job.store import Store

_FACT = re.compile(r"%%globals?\.(?P<name>job|host|project|frps_address|version)%%")
_NAME = re.compile(r"%%ops\.(?P<operation>[^.]+)\.(?P<what>endpoint|deployment_endpoint)\b")


def may_come(literal: str, index: int, document: Mapping[str, Any], steps: Sequence[Step], given: Store) -> bool:
    """Whether the operation at a place of a definition may find a value for a literal when it runs.

    `given`: what is known already; where that speaks of a thing and leaves a part out, the part will not come.
    """
    if _FACT.fullmatch(literal):
        return not given.facts
    if named := _NAME.match(literal):
        told = named["what"] in given.operations.get(named["operation"], {})
        return not told and any(_may_be_named(named["what"], each, document, given) for each in _of(named, document))
    result = result_named(literal)
    return result is not None and _will_be_made(result[0], result[1], index, document, steps, given)


def _of(named: re.Match[str], document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each for each in document["ops"] if each.get("id") == named["operation"]]


def _may_be_named(what: str, operation: Mapping[str, Any], document: Mapping[str, Any], given: Store) -> bool:
    args = operation.get("args")
    expose = args.get("expose") if isinstance(args, Mapping) else None
    if what == "deployment_endpoint":
        return bool(expose and document.get("deployment_id")) and not given.facts
    return bool(known_ports(expose, given)[1])


def _will_be_made(
    operation: str, key: str, index: int, document: Mapping[str, Any], steps: Sequence[Step], given: Store
) -> bool:
    own = document["ops"][index].get("id")
    if operation == own or "results" in given.operations.get(operation, {}):
        return False
    place = {id_: at for at, group in enumerate(groups_of(steps)) for id_ in group.operations}
    if operation not in place or place[operation] > place.get(own, len(place)):
        return False
    return any(
        key in results
        for each in document["ops"]
        if each.get("id") == operation and isinstance(results := each.get("results"), Mapping)
    )
