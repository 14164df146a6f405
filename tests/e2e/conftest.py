from tests.content.fixtures import kubo_binary
from tests.e2e.fixtures import busybox_image, docker_client, docker_engine, node_address
from tests.service.frp import frp_folder

__all__ = ["busybox_image", "docker_client", "docker_engine", "frp_folder", "kubo_binary", "node_address"]
