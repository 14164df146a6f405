"""What posters write: definitions, literals, expressions, names of images."""

from __future__ import annotations

import contextlib
import json

from node.container.profile import create_request
from node.container.reference import is_reference, split_reference
from node.errors import DefinitionInvalid, LiteralUnresolved
from node.job.completion import complete_operation
from node.job.credentials import credentials_of
from node.job.definition import parse_compat, parse_posted, violation_json
from node.job.first_store import store_of
from node.job.markers import interpolate
from node.job.pattern import BadPattern, Pattern
from node.job.plan import make_plan
from node.job.preview import Circumstances, preview
from node.job.store import Store
from node.job.text import parse_json
from node.journal.codec import decode, encode
from node.records import Address, IsolationProfile, Limits, Plan
from node.settings import PolicySettings
from tests.fuzz.target import Target

JOB = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
LIMITS = Limits(memory_bytes=1 << 30, pids=100, cpus=1.0, shm_bytes=1 << 20, open_files=100, log_bytes=1000)
VARIABLES = {"a": "b", "list": '["x", ["y"]]', "self": "%%global.job%%"}
OUTPUTS = {"r": ["1", "[80,81]"], "s": ['{"a":{"b":[null]}}'], "p": '[{"key":"K","value":1}]'}
VALUES = Store(facts={"job": JOB, "host": JOB, "project": JOB, "variables": VARIABLES})
OUTPUT_STORE = VALUES.with_results("a", OUTPUTS)


def definition(body: bytes) -> None:
    """Read, validated, planned, and made into the request that the engine gets."""
    try:
        found = parse_posted(body)
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
    assert decode(encode(plan), Plan) == plan
    store = store_of(plan, found, node=JOB, project=JOB, domain="d").with_results("a", OUTPUTS)
    for operation in plan.operations:
        if operation.container is None:
            assert operation.volume.startswith(f"{JOB}-")
            continue
        with contextlib.suppress(LiteralUnresolved):
            operation = complete_operation(operation, found, store)
            logins = credentials_of(found, operation.index, store)
            assert len(logins.resources) == len(operation.resources)
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


def compat(body: bytes) -> None:
    """A definition by the older rules; what is wrong is told as JSON."""
    try:
        parse_compat(body)
    except DefinitionInvalid as error:
        json.dumps([violation_json(violation) for violation in error.violations])
        raise


def shown(body: bytes) -> None:
    """What would happen, of definitions that keep no rules."""
    document = preview(parse_json(body), Circumstances(store=OUTPUT_STORE, policy=PolicySettings(allow_images=("x",))))
    assert len(json.dumps(document)) < 64 << 20


def literals(body: bytes) -> None:
    """Arguments with literals, filled in to a bounded length."""
    args = parse_json(body)
    if not isinstance(args, dict):
        return
    filled = interpolate(args, OUTPUT_STORE)
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
    check = {"type": "http", "path": "/", "method": "GET", "expected_status": 200, "continuous": True}
    late = {
        "type": "container/run",
        "id": "b",
        "args": {
            "image": "x:%%ops.a.results.r.0%%",
            "private": True,
            "expose": [{"__spread__": "%%ops.a.results.r%%", "chunked": True}, 90, "%%global.variables.a%%"],
            "env": {"__pairs__": "%%ops.a.results.p%%", "H": "%%ops.a.host%% %%ops.a.endpoint.8080%%"},
            "resources": [{"type": "S3", "target": "/s", "buckets": [{"url": "s3://b", "files": ["f"]}]}],
        },
        "execution": {"group": "g", "depends_on": ["a"], "stop_if_dependent_stops": True, "timeout": 5},
    }
    volume = {"type": "container/create-volume", "id": "v", "args": {"name": "v"}}
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
            "expose": [{"port": 8080, "health_checks": [check]}, "8000-8005"],
            "volumes": [{"name": "v", "dest": "/v"}],
            "resources": [{"type": "HF", "repo": "a/b", "target": "/m"}],
            "aliases": ["x"],
            "authentication": {"docker": {"username": "u", "password": "p"}},
        },
    }
    plain = {"version": "0.1", "type": "container", "meta": {"trigger": "cli"}, "ops": [operation]}
    defaults = {"env": {"A": "b"}, "gpu": False, "variables": {"a": "b"}}
    older = {**plain, "ops": [volume, full], "global": defaults, "version": "1", "deployment_id": "d"}
    newer = {**plain, "ops": [operation, late, volume], "global": defaults}
    return tuple(json.dumps(each).encode() for each in (plain, older, newer))


TARGETS = (
    Target("definition", definition, _definitions),
    Target("compat", compat, _definitions),
    Target("preview", shown, _definitions),
    Target(
        "literals",
        literals,
        lambda: (
            b'{"cmd": ["%%global.job%%", "%%global.variables.list%%", "x%%global.variables.self%%"]}',
            b'{"cmd": [{"__spread__": "%%ops.a.results.s%%"}], "env": {"__pairs__": "%%ops.a.results.p%%"}}',
            b'{"env": {"%%global.host%%": "%%globals.project%%"}, "cmd": "%%global.frps_address%%"}',
        ),
    ),
    Target(
        "pattern", pattern, lambda: (rb"(a+)+b", rb"^(\w+)\s(?<n>x|y)*$", b"[^\\d\\u{61}]{2,9}\nabc"), (BadPattern,)
    ),
    Target("reference", reference, lambda: (b"ubuntu", b"ghcr.io/a/b:c", b"localhost:5000/x@sha256:" + b"a" * 64)),
)
