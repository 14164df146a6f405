"""Running a built-in job's container by hand, as shut in as a node runs it."""

from __future__ import annotations

import re
from typing import Any

import docker

from node.localnet import recipes

SHUT_IN: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 64,
    "mem_limit": "1g",
}


def output_of(client: docker.DockerClient, name: str) -> list[str]:
    """Lines of a job that ends by itself, without any network."""
    operation = recipes.definition(name)["ops"][0]
    arguments = operation["args"]
    said = client.containers.run(arguments["image"], arguments["cmd"], remove=True, network_mode="none", **SHUT_IN)
    return str(said.decode()).splitlines()


def results_of(name: str, lines: list[str]) -> dict[str, list[tuple[str, ...]]]:
    """Groups of every match of each of the definition's result patterns, in order."""
    rules = recipes.definition(name)["ops"][0]["results"]
    patterns = {key: rule if isinstance(rule, str) else rule["regex"] for key, rule in rules.items()}
    return {
        key: [match.groups() for line in lines if (match := re.search(pattern, line))]
        for key, pattern in patterns.items()
    }
