"""Plans of definitions with all that a definition may hold."""

import contextlib
import json
import time
from typing import Any

import pytest

from node.errors import JobRefused, LiteralUnresolved, PlanInvalid
from node.job.completion import complete_operation
from node.job.credentials import credentials_of
from node.job.definition import Definition, parse_posted
from node.job.first_store import store_of
from node.job.isolation import keep
from node.job.plan import make_plan
from node.job.policy import admit
from node.job.store import Store
from node.journal.codec import decode, encode
from node.logins import DockerLogin, ResourceLogin
from node.plan_records import Bucket, Resource, ResourceKind, RestartPolicy, RestartRule, VolumeMount
from node.records import IsolationProfile, Plan
from node.settings import PolicySettings
from node.settings_isolation import IsolationRule
from tests.job.test_plan import JOB, LIMITS, NODE, ON_CHAIN, POSTER

DOMAIN = "frp.example"


def definition(*ops: dict[str, Any], **top: Any) -> Definition:
    return parse_posted(json.dumps({"version": "0.1", "type": "container", "ops": ops, **top}).encode())


def run(name: str, **args: Any) -> dict[str, Any]:
    execution, results = args.pop("execution", None), args.pop("results", None)
    given = {"execution": execution, "results": results}
    return {
        "type": "container/run",
        "id": name,
        "args": {"image": "img", **args},
        **{key: value for key, value in given.items() if value is not None},
    }


def planned(found: Definition) -> Plan:
    return make_plan(
        found,
        job=JOB,
        node=NODE,
        project=POSTER,
        gpu_uuids=(),
        limits=LIMITS,
        profile=IsolationProfile.STANDARD,
        runtime="runc",
        lane="main",
        frps_address=DOMAIN,
        version="1.0",
    )


def start(found: Definition, plan: Plan) -> Store:
    return store_of(plan, found, node=NODE, project=POSTER, domain=DOMAIN, version="1.0")


def test_groups_volumes_and_dependencies() -> None:
    plan = planned(
        definition(
            {"type": "container/create-volume", "id": "vol", "args": {"name": "data"}},
            run(
                "a", volumes=[{"name": "data", "dest": "/d"}, {"name": "other", "dest": "/o"}], execution={"group": "g"}
            ),
            run(
                "b",
                execution={"group": "g", "depends_on": ["a"], "stop_if_dependent_stops": True, "timeout": 2.5},
                restart_policy={"policy": "on-failure", "restart_tries": 3},
            ),
        )
    )
    volume, first, second = plan.operations
    assert (volume.container, volume.volume, volume.group) == (None, f"{JOB}-data", "vol")
    assert plan.containers == (first.spec, second.spec)
    assert first.spec.volumes == (VolumeMount(f"{JOB}-data", "/d"), VolumeMount(f"{JOB}-other", "/o"))
    assert (second.group, second.depends_on, second.stop_with_dependencies) == ("g", ("a",), True)
    assert (first.timeout, second.timeout) == (None, 3)
    assert second.restart == RestartRule(RestartPolicy.ON_FAILURE, 3)
    assert [each.spec.name for each in (first, second)] == [f"{JOB}-1", f"{JOB}-2"]
    assert [dict(each.spec.labels)["gpunode.operation"] for each in (first, second)] == ["1", "2"]
    with pytest.raises(ValueError, match="no container"):
        _ = volume.spec


def test_an_order_that_cannot_be_kept_is_one_error() -> None:
    with pytest.raises(PlanInvalid) as caught:
        planned(definition(run("a", execution={"depends_on": ["b", "x"]}), run("b", execution={"depends_on": ["a"]})))
    assert len(caught.value.messages) == 2


def test_what_the_job_answers_is_filled_in_at_once() -> None:
    env = {
        "HOST": "%%ops.b.host%%",
        "URL": "https://%%ops.b.endpoint.82%%/",
        "OWN": "%%ops.a.endpoint.80%%",
        "VOLUME": "%%ops.v.host%%",
        "FACTS": "%%global.job%% %%global.host%% %%global.project%% %%global.frps_address%% %%global.version%%",
        "SHARED": "%%ops.b.deployment_endpoint%%",
    }
    found = definition(
        run("a", env=env, expose=80, private=True),
        run("b", expose=[82, "%%ops.a.results.x%%"]),
        {"type": "container/create-volume", "id": "v", "args": {"name": "data"}},
        deployment_id="dep",
    )
    plan = planned(found)
    first, second, _ = plan.operations
    (secret,) = first.services
    known, *_ = second.services
    assert first.pending == ()
    assert dict(first.spec.env) == {
        "HOST": f"{JOB}-1",
        "URL": f"https://{known.id}.{DOMAIN}/",
        "OWN": f"{secret.id}.{DOMAIN}",
        "VOLUME": f"{JOB}-data-2",
        "FACTS": f"{JOB} {NODE} {POSTER} {DOMAIN} 1.0",
        "SHARED": f"{known.deployment}.{DOMAIN}",
        "NOSANA_ID": JOB,
    }
    store = start(found, plan)
    assert store.operations["a"]["endpoint"] == {"80": f"{secret.id}.{DOMAIN}"}
    assert store.operations["b"]["endpoint"] == {"82": f"{known.id}.{DOMAIN}"}
    assert second.pending == ("%%ops.a.results.x%%",)


def test_an_operation_is_completed_with_the_outputs_of_others() -> None:
    found = definition(
        run("a", results={"x": "."}),
        run(
            "b",
            image="%%ops.a.results.image%%",
            cmd=["serve", "%%ops.a.results.words%%"],
            env={"__pairs__": "%%ops.a.results.pairs%%", "NVIDIA_VISIBLE_DEVICES": "all"},
            expose=[{"__spread__": "%%ops.a.results.ports%%"}],
            resources=[{"__spread__": "%%ops.a.results.data%%"}],
            gpu=False,
        ),
        **{"global": {"env": {"G": "%%global.job%%"}, "work_dir": "/w"}},
    )
    plan = planned(found)
    sketch = plan.operations[1]
    assert len(sketch.pending) == 5
    assert sketch.spec.image == "%%ops.a.results.image%%"
    results = {
        "image": ["repo/x:1"],
        "words": ["one", "two"],
        "pairs": ['[{"key":"K","value":5},{"key":"NVIDIA_X","value":"all"}]'],
        "ports": ["[90,91]"],
        "data": '[{"type":"HF","repo":"a/b","target":"/m","accessToken":"secret-token"}]',
    }
    store = start(found, plan).with_results("a", results)
    done = complete_operation(sketch, found, store)
    assert done == complete_operation(sketch, found, store)
    assert (done.pending, done.spec.image, done.spec.command) == ((), "repo/x:1", ("serve", "one", "two"))
    assert dict(done.spec.env) == {"G": "%%global.job%%", "K": "5", "NOSANA_ID": JOB}
    assert done.spec.work_dir == "/w"
    assert [service.port for service in done.services] == ["90", "91"]
    assert done.resources == (Resource(ResourceKind.HF, "/m", repo="a/b"),)
    assert (done.spec.profile, done.spec.limits, done.spec.network) == (
        sketch.spec.profile, sketch.spec.limits, sketch.spec.network,
    )  # fmt: skip
    assert credentials_of(found, 1, store).resources == (ResourceLogin(token="secret-token"),)
    assert "secret-token" not in encode(plan)
    assert complete_operation(plan.operations[0], found, store) is plan.operations[0]


@pytest.mark.parametrize(
    ("args", "results", "message"),
    [
        ({"cmd": "%%ops.a.results.no%%"}, {"x": []}, 'Unresolved literal: "%%ops.a.results.no%%"'),
        ({"cmd": "%%ops.c.results.no%%"}, {}, 'Unresolved literal: "%%ops.c.results.no%%"'),
        ({"cmd": "%%global.variables.none%%"}, {}, "Unresolved literal"),
        ({"env": {"__spread__": "%%ops.a.results.x%%"}}, {"x": ["text"]}, "__spread__ is not valid JSON"),
        ({"image": "%%ops.a.results.x%%"}, {"x": []}, "names no image"),
        ({"image": "%%ops.a.results.x%%"}, {"x": ["a\0b"]}, "NUL"),
        ({"env": {"__spread__": "%%ops.a.results.x%%"}}, {"x": ['{"A=B":"c"}']}, "malformed"),
        ({"resources": [{"__spread__": "%%ops.a.results.x%%"}]}, {"x": '[{"type":"S3","target":"/t"}]'}, "no url"),
        ({"volumes": [{"name": "%%ops.a.results.x%%", "dest": "/d"}]}, {"x": ["../y"]}, "volume name"),
        ({"expose": "%%ops.a.results.x%%"}, {"x": "%%global.job%%"}, "remain"),
    ],
)
def test_what_does_not_fit_fails_its_operation(args: dict[str, Any], results: dict[str, Any], message: str) -> None:
    found = definition(run("a", results={"x": "."}), run("b", **args))
    plan = planned(found)
    assert plan.operations[1].pending
    with pytest.raises(LiteralUnresolved, match=message):
        complete_operation(plan.operations[1], found, start(found, plan).with_results("a", results))


def test_what_can_never_be_filled_in_fails_when_its_turn_comes() -> None:
    """The operations before it run, as on other nodes of the network."""
    spread = {"__spread__": "%%global.variables.v%%"}
    found = definition(run("a"), run("b", expose=[spread]), **{"global": {"variables": {"v": "[1"}}})
    plan = planned(found)
    assert plan.operations[0].pending == ()
    with pytest.raises(LiteralUnresolved, match="not valid JSON"):
        complete_operation(plan.operations[1], found, start(found, plan))


LOGIN = {"username": "user-secret", "password": "word-secret", "server": "r.io"}
IAM = {"REGION": "eu", "ACCESS_KEY_ID": "key-secret", "SECRET_ACCESS_KEY": "iam-secret"}


def test_logins_are_read_apart_and_in_no_plan() -> None:
    found = definition(
        run(
            "a",
            authentication={"docker": LOGIN},
            resources=[
                {"type": "S3", "url": "s3://b/x", "files": ["f"], "target": "/t", "IAM": IAM, "allowWrite": True},
                "__remove-if-empty__",
                {"type": "Ollama", "model": "m:1"},
                {"type": "HF", "repo": "o/n", "revision": "v", "target": "/h", "accessToken": "hf-secret"},
                {"type": "S3", "buckets": [{"url": "s3://c", "files": ["g"]}, {"url": "s3://d"}], "target": "/u"},
                {"type": "S3", "bucket": "e", "target": "/v"},
                {"type": "S3", "bucket": "e", "url": "https://s3.example", "target": "/w", "IAM": IAM},
            ],
        )
    )
    plan = planned(found)
    (operation,) = plan.operations
    assert operation.has_login
    assert operation.resources == (
        Resource(ResourceKind.S3, "/t", (Bucket("s3://b/x", ("f",)),), writable=True, region="eu"),
        Resource(ResourceKind.OLLAMA, "/root/.ollama/models", model="m:1"),
        Resource(ResourceKind.HF, "/h", repo="o/n", revision="v"),
        Resource(ResourceKind.S3, "/u", (Bucket("s3://c", ("g",)), Bucket("s3://d"))),
        Resource(ResourceKind.S3, "/v", (Bucket("s3://e"),)),
        Resource(ResourceKind.S3, "/w", (Bucket("https://s3.example"),), bucket="e", region="eu"),
    )
    found_logins = credentials_of(found, 0, start(found, plan))
    iam = ResourceLogin("key-secret", "iam-secret", "eu")
    assert found_logins.docker == DockerLogin("user-secret", "word-secret", server="r.io")
    assert found_logins.resources == (iam, None, ResourceLogin(token="hf-secret"), None, None, iam)
    assert decode(encode(plan), Plan) == plan
    assert "secret" not in encode(plan)
    assert "secret" not in repr(found_logins)


def test_logins_may_be_literals() -> None:
    found = definition(
        run("a", authentication={"docker": {"password": "%%ops.b.results.p%%"}}), run("b", results={"p": "."})
    )
    plan = planned(found)
    store = start(found, plan).with_results("b", {"p": ["drawn"]})
    assert credentials_of(found, 0, store).docker == DockerLogin(password="drawn")
    with pytest.raises(LiteralUnresolved):
        credentials_of(found, 0, start(found, plan))


def test_definitions_that_only_the_older_validator_takes_are_planned() -> None:
    found = definition(
        run("with blank", expose=["8000-8005"], output="/o", required_vram=4), version="0.2", meta={"a": None}
    )
    (operation,) = planned(found).operations
    assert operation.id == "with blank"
    assert [service.port for service in operation.services] == ["8000-8005"]


@pytest.mark.parametrize(
    "args",
    [
        {"volumes": [{"name": "a/b", "dest": "/d"}]},
        {"volumes": [{"name": "", "dest": "/d"}]},
        {"volumes": [{"name": "v", "dest": "d"}]},
        {"volumes": [{"name": "v", "dest": "/"}]},
        {"volumes": [{"name": "v", "dest": "/a/../.."}]},
        {"resources": [{"type": "HF", "repo": "a", "target": "t"}]},
        {"resources": [{"type": "S3", "target": "/t"}]},
        {"expose": list(range(1, 300))},
        {"image": ""},
    ],
)
def test_what_no_engine_could_do_is_refused(args: dict[str, Any]) -> None:
    with pytest.raises(JobRefused) as caught:
        planned(definition(run("a", **args)))
    assert caught.value.message


def test_too_many_operations_are_refused() -> None:
    with pytest.raises(JobRefused, match="at most 256"):
        planned(definition(*(run(str(number)) for number in range(257))))


def test_policy_is_asked_about_every_container() -> None:
    plan = planned(
        definition(
            {"type": "container/create-volume", "id": "v", "args": {"name": "v"}}, run("a"), run("b", image="bad")
        )
    )
    with pytest.raises(JobRefused, match="bad is denied"):
        admit(plan, ON_CHAIN, PolicySettings(deny_images=("bad",)))
    admit(plan, ON_CHAIN, PolicySettings())


def test_an_image_that_is_not_known_yet_slips_by_no_rule() -> None:
    plan = planned(definition(run("a", results={"x": "."}), run("b", image="%%ops.a.results.x%%")))
    admit(plan, ON_CHAIN, PolicySettings())
    for settings in ({"deny_images": ("bad",)}, {"allow_images": ("*",)}):
        with pytest.raises(JobRefused, match="known only while the job runs"):
            admit(plan, ON_CHAIN, PolicySettings(**settings))
    rule = IsolationRule(images=("bad",), profile=IsolationProfile.SEALED)
    with pytest.raises(JobRefused, match="known only while the job runs"):
        keep(plan, POSTER, (rule,))
    assert keep(plan, POSTER, (IsolationRule(profile=IsolationProfile.SEALED),)).containers[1].profile == "sealed"


def test_volumes_may_be_named_by_what_the_job_answers() -> None:
    volume = {"type": "container/create-volume", "id": "v", "args": {"name": "of-%%global.variables.x%%"}}
    plan = planned(definition(volume, **{"global": {"variables": {"x": "mine"}}}))
    assert plan.operations[0].volume == f"{JOB}-of-mine"


def test_what_exposes_nothing_is_noted() -> None:
    plan = planned(definition(run("a", expose={"port": 80}), run("b", expose=[81, 80.5])))
    assert [note[:2] for note in plan.notes] == ["a:", "b:"]
    assert [operation.services and operation.services[0].port for operation in plan.operations] == [(), "81"]


@pytest.mark.long
def test_a_megabyte_of_ports_costs_little() -> None:
    began = time.monotonic()
    for expose in (
        list(range(100_000)),
        [f"{n}-{n + 1}" for n in range(0, 60_000, 2)],
        ["%%global.variables.p%%"] * 30_000,
    ):
        with contextlib.suppress(JobRefused):
            planned(definition(run("a", expose=expose), **{"global": {"variables": {"p": "80"}}}))
    assert time.monotonic() - began < 30
