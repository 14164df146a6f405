"""All targets by name."""

from __future__ import annotations

from tests.fuzz import (
    targets_chain,
    targets_content,
    targets_edges,
    targets_job,
    targets_owner,
    targets_resources,
    targets_service,
)

TARGETS = {
    target.name: target
    for target in (
        *targets_job.TARGETS,
        *targets_chain.TARGETS,
        *targets_content.TARGETS,
        *targets_edges.TARGETS,
        *targets_owner.TARGETS,
        *targets_service.TARGETS,
        *targets_resources.TARGETS,
    )
}
