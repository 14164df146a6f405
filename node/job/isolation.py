"""How a job is kept: the operator's rules for its poster and its image, over what holds for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from node.job.policy import image_matches
from node.records import Address, ContainerSpec, Plan
from node.settings_isolation import IsolationRule


def keep(plan: Plan, poster: Address, rules: Sequence[IsolationRule]) -> Plan:
    """The plan with profile, runtime and egress as the first rule that fits says; per operation: each has its image."""
    return replace(
        plan,
        operations=tuple(
            operation
            if operation.container is None
            else replace(operation, container=_kept(operation.container, poster, rules))
            for operation in plan.operations
        ),
    )


def _kept(spec: ContainerSpec, poster: Address, rules: Sequence[IsolationRule]) -> ContainerSpec:
    for rule in rules:
        if rule.posters and poster not in rule.posters:
            continue
        if rule.images and not image_matches(spec.image, rule.images):
            continue
        return replace(
            spec,
            profile=rule.profile or spec.profile,
            runtime=rule.runtime or spec.runtime,
            egress=rule.egress or spec.egress,
        )
    return spec
