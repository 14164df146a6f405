"""How a job is kept: the operator's rules for its poster and its image, over what holds for everybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from node.errors import JobRefused
from node.job.policy import image_matches, is_open
from node.records import STRICTNESS, Address, ContainerSpec, Egress, Plan
from node.settings_isolation import IsolationRule


def keep(plan: Plan, poster: Address, rules: Sequence[IsolationRule]) -> Plan:
    """The plan with profile, runtime and egress as the first rule that fits says; per operation: each has its image.

    The egress then is the strictest of them for all: they share the job's network, and one that may reach nothing could
    have another send for it. Raises JobRefused where a rule is about images and an operation's image is not known yet.
    """
    kept = [None if spec is None else _kept(spec, poster, rules) for spec in (op.container for op in plan.operations)]
    egress = max((spec.egress for spec in kept if spec is not None), key=STRICTNESS.index, default=Egress.OPEN)
    return replace(
        plan,
        operations=tuple(
            operation if spec is None else replace(operation, container=replace(spec, egress=egress))
            for operation, spec in zip(plan.operations, kept, strict=True)
        ),
    )


def _kept(spec: ContainerSpec, poster: Address, rules: Sequence[IsolationRule]) -> ContainerSpec:
    for rule in rules:
        if rule.posters and poster not in rule.posters:
            continue
        if rule.images and is_open(spec.image):
            raise JobRefused(
                f"the image {spec.image} is known only while the job runs, and this host has rules about images",
                hint="policy.isolation cannot be applied to it.",
            )
        if rule.images and not image_matches(spec.image, rule.images):
            continue
        return replace(
            spec,
            profile=rule.profile or spec.profile,
            runtime=rule.runtime or spec.runtime,
            egress=rule.egress or spec.egress,
        )
    return spec
