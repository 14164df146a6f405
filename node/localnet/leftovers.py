"""What a node that was cut short left in the engine."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import docker
from docker.errors import APIError, DockerException

NODE_LABEL = "gpunode.node"
"""On every container, volume and network the agent makes; its value is the node's address."""
TIMEOUT_SECONDS = 30


async def remove_leftovers(node: str) -> tuple[str, ...]:
    """Remove the containers, volumes and networks labelled with this node's address; the names of those removed.

    An engine that has gone, or that lost one of them meanwhile, is no error: there is nothing more to be done.
    """
    return await asyncio.to_thread(_remove, node)


def _remove(node: str) -> tuple[str, ...]:
    label = f"{NODE_LABEL}={node}"
    removed: list[str] = []
    with suppress(DockerException):
        client = docker.from_env(timeout=TIMEOUT_SECONDS)
        try:
            for container in client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
                with suppress(APIError):
                    container.remove(force=True, v=True)
                    removed.append(str(container.name))
            for volume in client.volumes.list(filters={"label": label}):
                with suppress(APIError):
                    volume.remove()
                    removed.append(str(volume.name))
            for network in client.networks.list(filters={"label": label}):
                with suppress(APIError):
                    network.remove()
                    removed.append(str(network.name))
        finally:
            client.close()
    return tuple(removed)
