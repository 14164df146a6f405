"""What literals stand for: the outputs of a job's operations and the facts of the job itself.

The JSON form is the network's: `{"globalOpStore": {ID: {host, endpoint, deployment_endpoint, results}},
"globalStore": {frps_address, project, job, host, variables}}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from node.errors import JobError


@dataclass(frozen=True, slots=True)
class Store:
    """Outputs by operation's id, and the job's facts. A change makes a new store."""

    operations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Id -> `host` (text), `endpoint` (port -> host name), `deployment_endpoint` (text), `results` (key -> value)."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """`job`, `host` (the node's address), `project`, `frps_address`, `version`, `variables` (name -> text)."""

    @classmethod
    def from_json(cls, document: Any) -> Store:
        """The store in a parsed document. Raises JobError if it has another form."""
        if not isinstance(document, Mapping):
            raise JobError("a store is an object with `globalOpStore` and `globalStore`")
        operations, facts = document.get("globalOpStore", {}), document.get("globalStore", {})
        if not isinstance(facts, Mapping) or not isinstance(operations, Mapping):
            raise JobError("`globalOpStore` and `globalStore` of a store are objects")
        if not all(isinstance(outputs, Mapping) for outputs in operations.values()):
            raise JobError("`globalOpStore` holds an object for each operation")
        return cls({str(name): dict(outputs) for name, outputs in operations.items()}, dict(facts))

    def to_json(self) -> dict[str, Any]:
        """The network's form."""
        return {
            "globalOpStore": {name: dict(outputs) for name, outputs in self.operations.items()},
            "globalStore": dict(self.facts),
        }

    def with_host(self, operation: str, host: str) -> Store:
        """An operation can be reached by this name, or is this volume."""
        return self._with(operation, "host", host)

    def with_endpoints(self, operation: str, endpoints: Mapping[str, str]) -> Store:
        """An operation's ports have these host names (no scheme)."""
        return self._with(operation, "endpoint", dict(endpoints))

    def with_deployment(self, operation: str, host: str) -> Store:
        """An operation shares this host name with others of its deployment."""
        return self._with(operation, "deployment_endpoint", host)

    def with_results(self, operation: str, results: Mapping[str, Any]) -> Store:
        """An operation's results so far, in the form that the job's result has them."""
        return self._with(operation, "results", dict(results))

    def under(self, other: Store) -> Store:
        """Both together; what the other says wins, key by key."""
        operations = dict(self.operations)
        for name, outputs in other.operations.items():
            operations[name] = _joined(operations.get(name, {}), outputs)
        return Store(operations, _joined(self.facts, other.facts))

    def _with(self, operation: str, key: str, value: Any) -> Store:
        outputs = {**self.operations.get(operation, {}), key: value}
        return replace(self, operations={**self.operations, operation: outputs})


def _joined(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    joined = {**first, **second}
    for key in first.keys() & second.keys():
        if isinstance(first[key], Mapping) and isinstance(second[key], Mapping):
            joined[key] = {**first[key], **second[key]}
    return joined
