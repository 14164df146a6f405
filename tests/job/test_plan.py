"""Plans, literals and policy."""

import json
from dataclasses import replace
from typing import Any

import pytest

from node.errors import JobRefused
from node.job.definition import parse_definition
from node.job.plan import make_plan, network_name
from node.job.policy import admit, full_image_name
from node.records import Address, Cid, IsolationProfile, Job, JobState, Limits, Plan
from node.settings import PolicySettings

JOB = Address("7nxXoihx65yRGZiGzWZsFMz8D7qwxFePNKvDBWZnxc41")
NODE = Address("FAe4sisG95oZ42w7buUn5qEE4TAnfTTFPiguZUHmhiF")
POSTER = Address("5FWJ8QsGshcANQNQR9WMpZBmpjkDvgBrT97tKtCooxvE")
LIMITS = Limits(memory_bytes=1 << 30, pids=100, cpus=1.0, shm_bytes=1 << 20, open_files=100, log_bytes=1000)
ON_CHAIN = Job(
    address=JOB,
    definition_cid=Cid("Qm"),
    result_cid=None,
    market=NODE,
    node=NODE,
    payer=POSTER,
    price=100,
    project=POSTER,
    state=JobState.QUEUED,
    time_end=0,
    time_start=0,
    timeout=3600,
)


def plan(args: dict[str, Any], *, gpus: tuple[str, ...] = (), top: Any = None, **operation: Any) -> Plan:
    document = {
        "version": "0.1",
        "type": "container",
        "ops": [{"type": "container/run", "id": "a", "args": {"image": "img", **args}, **operation}],
        **(top or {}),
    }
    return make_plan(
        parse_definition(json.dumps(document).encode()),
        job=JOB,
        node=NODE,
        project=POSTER,
        gpu_uuids=gpus,
        limits=LIMITS,
        profile=IsolationProfile.STANDARD,
        runtime="runc",
        lane="main",
    )


def spec(args: dict[str, Any], **more: Any) -> Any:
    return plan(args, **more).operations[0].container


def test_names_labels_and_network() -> None:
    made = plan({})
    container = made.operations[0].container
    assert container.name == f"{JOB}-0"
    assert made.network == container.network == network_name(JOB)
    assert made.network.startswith("gpn")
    assert len(made.network) == 15
    assert dict(container.labels) == {
        "gpunode.lane": "main",
        "gpunode.job": JOB,
        "gpunode.operation": "0",
        "gpunode.node": NODE,
    }
    assert (container.limits, container.runtime, container.aliases) == (LIMITS, "runc", (f"{JOB}-0",))


@pytest.mark.parametrize(
    ("cmd", "command"),
    [
        ("echo hi && ls", ("/bin/sh", "-c", "echo hi && ls")),
        (["echo", "a b", ""], ("echo", "a b", "")),
        ([], None),
        (None, None),
    ],
)
def test_command(cmd: Any, command: Any) -> None:
    assert spec({} if cmd is None else {"cmd": cmd}).command == command


@pytest.mark.parametrize(
    ("own", "default", "entrypoint"),
    [
        ("sh -c", None, ("sh -c",)),
        (["sh", "-c"], "x", ("sh", "-c")),
        ("", "x", ("x",)),
        (None, ["x", "y"], ("x", "y")),
        (None, None, None),
    ],
)
def test_entrypoint(own: Any, default: Any, entrypoint: Any) -> None:
    args = {} if own is None else {"entrypoint": own}
    top = {} if default is None else {"global": {"entrypoint": default}}
    assert spec(args, top=top).entrypoint == entrypoint


def test_environment_is_merged_and_cannot_choose_devices() -> None:
    made = plan(
        {"env": {"A": "own", "NVIDIA_VISIBLE_DEVICES": "all", "NOSANA_ID": "forged"}},
        top={"global": {"env": {"A": "global", "B": "%%global.job%%", "NVIDIA_DRIVER_CAPABILITIES": "all"}}},
    )
    assert dict(made.operations[0].container.env) == {"A": "own", "B": "%%global.job%%", "NOSANA_ID": JOB}
    assert len(made.notes) == 2
    assert all("devices" in note for note in made.notes)


@pytest.mark.parametrize("place", ["own", "global"])
@pytest.mark.parametrize("name", ["NVIDIA_VISIBLE_DEVICES", "NVIDIA_MIG_CONFIG_DEVICES", "nvidia_x", "Nvidia_Y"])
def test_nothing_named_nvidia_passes_and_it_is_said(place: str, name: str) -> None:
    made = plan({"env": {name: "all"}}) if place == "own" else plan({}, top={"global": {"env": {name: "all"}}})
    assert dict(made.operations[0].container.env) == {"NOSANA_ID": JOB}
    (note,) = made.notes
    assert note.startswith(name)


@pytest.mark.parametrize(
    ("cmd", "command"),
    [
        (["a", "__remove-if-empty__", "b", "__remove-if-empty__"], ("a", "b", "__remove-if-empty__")),
        (["__remove-if-empty__"], None),
        (["%%global.variables.words%%", "__remove-if-empty__"], ("x", "y")),
        ("__remove-if-empty__", ("/bin/sh", "-c", "__remove-if-empty__")),
    ],
)
def test_the_marker_of_empty_lists(cmd: Any, command: Any) -> None:
    assert spec({"cmd": cmd}, top={"global": {"variables": {"words": '["x","y"]'}}}).command == command


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}, {"A\0": "x"}, {"A": "x\0y"}])
def test_malformed_environment_is_refused(env: dict[str, str]) -> None:
    with pytest.raises(JobRefused, match="malformed"):
        plan({"env": env})


def test_work_dir() -> None:
    assert spec({"work_dir": "/w"}, top={"global": {"work_dir": "/g"}}).work_dir == "/w"
    assert spec({"work_dir": ""}, top={"global": {"work_dir": "/g"}}).work_dir == "/g"
    assert spec({}).work_dir is None


def test_gpu_is_the_lane_s_and_only_on_request() -> None:
    assert spec({"gpu": True}, gpus=("GPU-1", "GPU-2")).gpu_uuids == ("GPU-1", "GPU-2")
    assert spec({"gpu": False}, gpus=("GPU-1",), top={"global": {"gpu": True}}).gpu_uuids == ("GPU-1",)
    assert spec({}, gpus=("GPU-1",)).gpu_uuids == ()
    with pytest.raises(JobRefused, match="needs a GPU"):
        plan({"gpu": True})


def test_group_and_results() -> None:
    made = plan(
        {}, execution={"group": "g"}, results={"r": "x+", "s": {"regex": "y", "logType": ["stderr"]}}
    ).operations[0]
    assert made.group == "g"
    assert made.results == (("r", "x+"), ("s", {"regex": "y", "logType": ["stderr"]}))
    assert plan({}).operations[0].group == "a"


def test_aliases() -> None:
    assert spec({"aliases": "x, y,"}).aliases[1:] == ("x", "y")
    assert spec({"aliases": ["z"]}).aliases[1:] == ("z",)


@pytest.mark.parametrize(
    "op",
    [
        {"type": "container/create-volume", "id": "v", "args": {"image": "v"}},
        {"type": "container/create-volume", "id": "v", "args": {"name": "a/b"}},
        {"type": "container/create-volume", "id": "v", "args": {"name": "%%ops.a.results.x%%"}},
        {"type": "container/run", "id": "v", "args": {"name": "v"}},
    ],
)
def test_arguments_of_another_kind_are_refused(op: dict[str, Any]) -> None:
    with pytest.raises(JobRefused) as caught:
        plan({}, top={"ops": [op]})
    assert caught.value.message


def test_a_job_without_operations_has_nothing_to_run() -> None:
    made = plan({}, top={"ops": []})
    assert (made.operations, made.network) == ((), network_name(JOB))


# --- policy -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "refused"),
    [
        ({}, None),
        ({"price_floor": 100}, None),
        ({"price_floor": 101}, "pays 100 micro-NOS"),
        ({"longest": 3600}, None),
        ({"longest": 3599}, "may run 3600 s"),
        ({"deny_posters": (POSTER,)}, "is denied"),
        ({"allow_posters": (NODE,)}, "is not allowed"),
        ({"allow_posters": (POSTER,)}, None),
        ({"allow_images": ("docker.io/library/*",)}, None),
        ({"allow_images": ("img",)}, None),
        ({"allow_images": ("ghcr.io/*",)}, "image img is not allowed"),
        ({"deny_images": ("docker.io/library/img:*",)}, "image img is denied"),
        ({"deny_images": ("*:latest",)}, "image img is denied"),
        ({"allow_images": ("img",), "deny_images": ("i*",)}, "is denied"),
    ],
)
def test_policy(settings: dict[str, Any], refused: str | None) -> None:
    policy = PolicySettings(**settings)
    if refused is None:
        admit(plan({}), ON_CHAIN, policy)
        return
    with pytest.raises(JobRefused, match=refused) as caught:
        admit(plan({}), ON_CHAIN, policy)
    assert caught.value.hint
    admit(plan({}), replace(ON_CHAIN, price=1000, timeout=60, project=NODE), PolicySettings(price_floor=1, longest=60))


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("a", "docker.io/library/a:latest"),
        ("a:1", "docker.io/library/a:1"),
        ("u/a", "docker.io/u/a:latest"),
        ("localhost/a", "localhost/a:latest"),
        ("localhost:5000/a", "localhost:5000/a:latest"),
        ("r.io/u/a:1", "r.io/u/a:1"),
        ("a@sha256:0", "docker.io/library/a@sha256:0"),
        ("docker.io/a", "docker.io/library/a:latest"),
        ("index.docker.io/a", "docker.io/library/a:latest"),
        ("index.docker.io/u/a:1", "docker.io/u/a:1"),
    ],
)
def test_full_image_name(image: str, full: str) -> None:
    assert full_image_name(image) == full
