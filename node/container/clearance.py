"""What a job has left on the engine when it is over, found by label and by name, and removed."""

from __future__ import annotations

import logging

from node.container.engine import JOB_LABEL, NODE_LABEL, OPERATION_LABEL, Engine
from node.errors import EngineRejected
from node.job.plan import container_name
from node.records import Address

log = logging.getLogger(__name__)


def is_volume_of(job: Address, name: str) -> bool:
    """Whether a volume is called as those of this job are."""
    return bool(job) and name.startswith(f"{job}-")


async def clear_job(engine: Engine, job: Address, network: str) -> None:
    """Remove the containers, volumes and the network of a job.

    Labels alone do not prove that something is ours: what the host makes of an image that was committed from a job's
    container has them too. Raises EngineUnavailable, or EngineRejected for what could not be removed after all else
    was.
    """
    if not job:
        return
    labels = {NODE_LABEL: "", JOB_LABEL: job}
    for view in await engine.find(labels):
        index = view.labels.get(OPERATION_LABEL, "")
        if view.labels.get(JOB_LABEL) == job and index.isdecimal() and view.name == container_name(job, int(index)):
            await engine.remove(view.id)
    left = []
    for volume in await engine.volumes(labels):
        if volume.labels.get(JOB_LABEL) == job and is_volume_of(job, volume.name):
            left += [] if await engine.remove_volume(volume.name) else [volume.name]
    for found in await engine.networks(labels):
        if found.labels.get(JOB_LABEL) == job and found.name == network:
            left += [] if await engine.remove_network(found.id) else [found.name]
    if left:
        raise EngineRejected(
            f"{', '.join(left)} cannot be removed yet", status=409, hint="see which container still uses it"
        )
