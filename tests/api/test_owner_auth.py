"""Who may speak for a job: what the network's own clients make and accept, and what a thief can do with a header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from solders.keypair import Keypair

from node.api.owner.auth import LONGEST, Unauthorized, authorize, verify
from node.api.owner.port import OwnedJob
from node.base58 import b58encode
from node.records import Address
from node.settings_api import ApiSettings
from tests.api.conftest import PLENTY, Serve
from tests.api.owner_double import CID, JOB, NODE, OTHER_JOB, OWNER, STRANGER, TIMEOUT, header, signed

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "auth_vectors.json").read_text())
NOW_MS = 1_800_000_000_000
COMPATIBLE = ApiSettings()
BOUND = ApiSettings(auth="bound")
ANY = ApiSettings(messages="any")
KEY = Address(str(OWNER.pubkey()))
OWNED = OwnedJob(JOB, KEY, Address(str(NODE.pubkey())), CID, TIMEOUT)


def refusal(text: str | None, settings: ApiSettings = COMPATIBLE, *, expiry: int = TIMEOUT, node: bool = False) -> str:
    """Why an auth string does not count; empty: it does."""
    try:
        named = OWNED.node if node else None
        authorize(text, OWNED, settings, expiry=expiry, now_ms=NOW_MS, node=named)
    except Unauthorized as refused:
        return refused.reason or "wrong signer"
    return ""


@pytest.mark.parametrize("case", VECTORS["validate"], ids=lambda case: case["name"])
def test_the_networks_clients_judge_alike(case: dict[str, Any]) -> None:
    options = case["options"]
    expected = options.get("expected_message")
    accepted = None if expected is None else (expected,)
    verdict: dict[str, Any] = {"result": True}
    try:
        signer = Address(case["public_key"])
        verify(case["value"], signer, accepted=accepted, expiry=options.get("expiry", 300), now_ms=case["now_ms"])
    except Unauthorized as refused:
        verdict = {"error": refused.reason} if refused.reason else {"result": False}
    assert verdict == case["kit"] == case["sdk"]


@pytest.mark.parametrize("case", VECTORS["generate"], ids=lambda case: f"{case['message']} {case['includeTime']}")
def test_what_the_networks_clients_sign_counts(case: dict[str, Any]) -> None:
    now = case["timestamp_ms"] or NOW_MS
    verify(case["value"], Address(VECTORS["public_key"]), accepted=(case["message"],), now_ms=now)


@pytest.mark.parametrize("message", [JOB, CID, "Hello Nosana Node!", "NosanaApiAuthentication"])
def test_compatible_takes_what_clients_sign(message: str) -> None:
    assert refusal(signed(message)) == ""
    assert refusal(signed(message, time_ms=NOW_MS - 1000)) == ""


def test_compatible_takes_nothing_else_unless_told() -> None:
    for message in (OTHER_JOB, "anything", "m1"):
        assert refusal(signed(message)) == "Failed to authenticate message."
        assert refusal(signed(message), ANY) == ""
    assert refusal(signed("ours"), ApiSettings(messages=("ours",))) == ""
    assert refusal(signed("Hello Nosana Node!"), ApiSettings(messages=())) == "Failed to authenticate message."


def test_bound_takes_only_what_names_the_job() -> None:
    assert refusal(signed(JOB), BOUND) == refusal(signed(CID), BOUND) == ""
    for message in ("Hello Nosana Node!", "NosanaApiAuthentication", OTHER_JOB):
        assert refusal(signed(message), BOUND) == "Failed to authenticate message."
    assert refusal(signed("any"), ApiSettings(auth="bound", messages="any")) == "Failed to authenticate message."


def test_only_the_owner_counts() -> None:
    assert refusal(signed(JOB, STRANGER)) == "wrong signer"
    assert refusal(signed(JOB, NODE)) == "wrong signer"
    assert refusal(signed(JOB, NODE), node=True) == ""
    assert refusal(signed(JOB, STRANGER), node=True) == "wrong signer"


def test_a_time_must_lie_within_the_timeout_and_can_be_left_out() -> None:
    assert refusal(signed(JOB, time_ms=NOW_MS - TIMEOUT * 1000 + 1)) == ""
    assert refusal(signed(JOB, time_ms=NOW_MS - TIMEOUT * 1000)) == "Authorization has expired."
    assert refusal(signed(JOB, time_ms=NOW_MS - 300_000), expiry=300) == "Authorization has expired."
    assert refusal(signed(JOB)) == ""  # The protocol's own weakness: what the time protects, its absence does not.


def extended(at_ms: int | str, key: Keypair = OWNER, job: str = JOB) -> str:
    return signed(f"{job}:{at_ms}", key)


@pytest.mark.parametrize("settings", [COMPATIBLE, BOUND, ANY])
def test_a_signed_time_cannot_be_changed_or_left_out(settings: ApiSettings) -> None:
    fresh, old = extended(NOW_MS - 1000), extended(NOW_MS - TIMEOUT * 1000)
    assert refusal(fresh, settings) == ""
    assert refusal(fresh + f":{NOW_MS}", settings) == ""
    assert refusal(old, settings) == "Authorization has expired."
    # Put a fresh time in the place of the signed one, behind it, or take it away.
    job, _, signature = old.split(":")
    assert refusal(f"{job}:{NOW_MS}:{signature}", settings) == "wrong signer"
    assert refusal(f"{old}:{NOW_MS}", settings) == "Authorization has expired."
    assert refusal(f"{job}:{signature}", settings) == "wrong signer"
    assert refusal(extended(NOW_MS + 120_000), settings) == "Authorization has expired."


@pytest.mark.parametrize("settings", [COMPATIBLE, BOUND])
def test_a_signed_time_is_for_its_own_job(settings: ApiSettings) -> None:
    assert refusal(extended(NOW_MS, job=OTHER_JOB), settings) != ""
    assert refusal(extended(NOW_MS, STRANGER), settings) == "wrong signer"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        ":",
        "::",
        ":::",
        JOB,
        f"{JOB}:",
        f":{JOB}",
        f"{JOB}:0OIl",
        f"{JOB}:{'1' * 88}",
        f"{JOB}:{'z' * 88}",
        f"{JOB}:{b58encode(bytes(63))}",
        f"{JOB}:{'2' * 100_000}",
        f"{JOB}:{NOW_MS}",
        f"{JOB}:{NOW_MS}:",
        f"{JOB}:{'9' * 5000}:x",
        "x" * (LONGEST + 1),
        "Bearer " + "A" * 40,
        "\ud800:" + "2" * 88,
    ],
)
def test_malformed_strings_are_refused(text: str | None) -> None:
    for settings in (COMPATIBLE, BOUND, ANY):
        assert refusal(text, settings) != ""
        assert refusal(text, settings, node=True) != ""


@given(st.text(max_size=200))
def test_no_text_gets_in_or_breaks_anything(text: str) -> None:
    assert refusal(text, ANY) != ""


# --- over HTTP --------------------------------------------------------------------------------------------------


async def test_what_a_refused_owner_reads(serve: Serve) -> None:
    served = await serve(clock=lambda: NOW_MS / 1000)

    async def status(headers: dict[str, str]) -> tuple[int, str]:
        async with served.client.get(f"/job/{JOB}/ops", headers=headers) as answer:
            return answer.status, await answer.text()

    assert await status({}) == (401, "Unauthorized Request: Header not found with key authorization.")
    assert await status(header(key=STRANGER)) == (401, "Unauthorized Request")
    assert await status({"authorization": "x:y"}) == (401, "Unauthorized Request: Failed to authenticate message.")
    old = header(time_ms=NOW_MS - TIMEOUT * 1000)
    assert await status(old) == (401, "Unauthorized Request: Authorization has expired.")
    assert (await status(header()))[0] == 200


async def test_a_captured_header_opens_no_other_job_where_messages_are_bound(serve: Serve) -> None:
    captured = {"authorization": signed("Hello Nosana Node!")}
    compatible, bound = await serve(), await serve(PLENTY.model_copy(update={"auth": "bound"}))
    for served, allowed in ((compatible, 200), (bound, 401)):
        async with served.client.get(f"/job/{OTHER_JOB}/ops", headers=captured) as answer:
            assert answer.status == allowed
    async with bound.client.get(f"/job/{OTHER_JOB}/ops", headers=header(JOB)) as answer:
        assert answer.status == 401
    async with bound.client.get(f"/job/{JOB}/ops", headers=header(JOB)) as answer:
        assert answer.status == 200


async def test_a_header_with_a_signed_time_is_worth_nothing_later(serve: Serve) -> None:
    now = [NOW_MS / 1000]
    served = await serve(clock=lambda: now[0])
    captured = {"authorization": extended(NOW_MS)}
    statuses = []
    for later in (0, TIMEOUT - 1, TIMEOUT):
        now[0] = NOW_MS / 1000 + later
        async with served.client.get(f"/job/{JOB}/ops", headers=captured) as answer:
            statuses.append(answer.status)
    assert statuses == [200, 200, 401]
