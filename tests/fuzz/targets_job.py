"""What posters write: definitions, literals, expressions, names of images."""

from __future__ import annotations

import json

from node.container.profile import create_request
from node.container.reference import is_reference, split_reference
from node.errors import DefinitionInvalid
from node.job.definition import parse_definition, violation_json
from node.job.markers import interpolate
from node.job.pattern import BadPattern, Pattern
from node.job.plan import make_plan
from node.job.store import Store
from node.job.text import parse_json
from node.records import Address, IsolationProfile, Limits
from tests.fuzz.target import Target

JOB = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
LIMITS = Limits(memory_bytes=1 << 30, pids=100, cpus=1.0, shm_bytes=1 << 20, open_files=100, log_bytes=1000)
VARIABLES = {"a": "b", "list": '["x", ["y"]]', "self": "%%global.job%%"}
VALUES = Store(facts={"job": JOB, "host": JOB, "project": JOB, "variables": VARIABLES})


def definition(body: bytes) -> None:
    """Read, validated, planned, and made into the request that the engine gets."""
    try:
        found = parse_definition(body)
    except DefinitionInvalid as error:
        json.dumps([violation_json(violation) for violation in error.violations])
        raise
    plan = make_plan(
        found,
        job=JOB,
        node=JOB,
        project=JOB,
        gpu_uuids=(),
        limits=LIMITS,
        profile=IsolationProfile.STANDARD,
        runtime="runc",
        lane="main",
    )
    for operation in plan.operations:
        request = create_request(operation.spec)
        json.dumps(request).encode()
        host = request["HostConfig"]
        assert host["Privileged"] is False
        assert not host.get("Binds")
        assert not host.get("Devices")
        assert not host.get("DeviceRequests")
        assert host["NetworkMode"].startswith("gpn")
        assert [pair for pair in request["Env"] if pair.startswith("NVIDIA_VISIBLE_DEVICES=")] == [
            "NVIDIA_VISIBLE_DEVICES=void"
        ]
        labels = dict(operation.spec.labels)
        assert labels["gpunode.job"] == JOB


def literals(body: bytes) -> None:
    """Arguments with literals, filled in to a bounded length."""
    args = parse_json(body)
    if not isinstance(args, dict):
        return
    filled = interpolate(args, VALUES)
    assert len(json.dumps(filled)) < 64 << 20


def pattern(body: bytes) -> None:
    """An expression and a text, divided by the first line's end: found in time that grows with the text alone."""
    source, _, text = body.decode("utf-8", "replace").partition("\n")
    Pattern(source).first((text or "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab") * 50)


def reference(body: bytes) -> None:
    """The name of an image."""
    name = body.decode("utf-8", "replace")
    if is_reference(name):
        repository, version = split_reference(name)
        assert repository
        assert version
        assert "\n" not in name
        assert "\0" not in name


def _definitions() -> tuple[bytes, ...]:
    operation = {"type": "container/run", "id": "a", "args": {"image": "docker.io/library/busybox:1", "cmd": "echo hi"}}
    full = {
        **operation,
        "results": {"r": "x(.*)", "s": {"regex": "a+", "logType": ["stdout"]}},
        "execution": {"group": "g"},
        "args": {
            "image": "ubuntu@sha256:" + "0" * 64,
            "cmd": ["sh", "-c", "%%global.job%%"],
            "entrypoint": ["/bin/sh"],
            "env": {"A": "%%global.variables.a%%", "NVIDIA_VISIBLE_DEVICES": "all"},
            "work_dir": "/work",
            "gpu": False,
            "expose": [{"port": 8080, "health_checks": [{"type": "http", "path": "/", "method": "GET"}]}],
            "volumes": [{"name": "v", "dest": "/v"}],
            "resources": [{"type": "HF", "repo": "a/b", "target": "/m"}],
            "aliases": ["x"],
            "authentication": {"docker": {"username": "u", "password": "p"}},
            "restart_policy": "no",
        },
    }
    plain = {"version": "0.1", "type": "container", "meta": {"trigger": "cli"}, "ops": [operation]}
    whole = {**plain, "ops": [full], "global": {"env": {"A": "b"}, "gpu": True, "variables": {"a": "b"}}}
    return tuple(json.dumps(each).encode() for each in (plain, whole))


TARGETS = (
    Target("definition", definition, _definitions),
    Target(
        "literals",
        literals,
        lambda: (
            b'{"cmd": ["%%global.job%%", "%%global.variables.list%%", "x%%global.variables.self%%"]}',
            b'{"env": {"%%global.host%%": "%%globals.project%%"}, "cmd": "%%global.frps_address%%"}',
        ),
    ),
    Target(
        "pattern", pattern, lambda: (rb"(a+)+b", rb"^(\w+)\s(?<n>x|y)*$", b"[^\\d\\u{61}]{2,9}\nabc"), (BadPattern,)
    ),
    Target("reference", reference, lambda: (b"ubuntu", b"ghcr.io/a/b:c", b"localhost:5000/x@sha256:" + b"a" * 64)),
)
