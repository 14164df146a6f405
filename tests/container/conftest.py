from pathlib import Path

import docker
import pytest

from node.container.docker import DockerEngine
from tests.container.job_bench import JobBench
from tests.container.scene import home_network, scene
from tests.e2e.fixtures import busybox_image, docker_client, docker_engine, node_address

__all__ = ["busybox_image", "docker_client", "docker_engine", "home_network", "node_address", "scene"]


@pytest.fixture
def job_bench(
    docker_engine: DockerEngine, docker_client: docker.APIClient, busybox_image: str, node_address: str, tmp_path: Path
) -> JobBench:
    return JobBench(docker_engine, docker_client, busybox_image, node_address, tmp_path)
