from tests.container.scene import home_network, scene
from tests.e2e.fixtures import busybox_image, docker_client, docker_engine, node_address

__all__ = ["busybox_image", "docker_client", "docker_engine", "home_network", "node_address", "scene"]
