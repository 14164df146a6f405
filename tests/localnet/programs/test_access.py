"""What `work` and `claim` ask of a node: stake, access key and its metadata."""

from __future__ import annotations

import pytest
from solders.pubkey import Pubkey

from .attempts import Attempt
from .harness import METAPLEX, UNITS_ALLOWED, Outcome, u128
from .key_scene import COLLECTION, KeyScene, metadata
from .market_scene import Scene, quit_job


def refusal(outcome: Outcome) -> tuple[str, str]:
    return outcome.name, outcome.origin


GOOD = {
    "one creator": metadata(),
    "no creators": metadata(creators=None),
    "five creators": metadata(creators=5),
    "no nonce": metadata(nonce=b"\0"),
    "no standard": metadata(standard=b"\0"),
    "last standard": metadata(standard=b"\x01\x05"),
    "uses": metadata(uses=b"\x01\x02" + bytes(16)),
    "bytes behind": metadata() + bytes(200),
    "long name": metadata(name="schlüssel".encode() * 20),
}
BAD = {
    "empty": b"",
    "wrong kind": metadata(kind=5),
    "cut off": metadata()[:-1],
    "not verified": metadata(collection=b"\x01\x00" + bytes(COLLECTION)),
    "verified 2": metadata(collection=b"\x01\x02" + bytes(COLLECTION)),
    "no collection": metadata(collection=b"\x00"),
    "another collection": metadata(collection=b"\x01\x01" + bytes(32)),
    "unknown standard": metadata(standard=b"\x01\x06"),
    "unknown use": metadata(uses=b"\x01\x03" + bytes(16)),
    "option byte 2": metadata(nonce=b"\x02\xff"),
    "name is not text": metadata(name=b"\xff\xfe"),
    "string without end": b"\x04" + bytes(64) + b"\xff\xff\xff\xff",
}


@pytest.mark.parametrize("case", GOOD)
def test_access_keys_that_open(case: str) -> None:
    outcome = KeyScene(GOOD[case]).knock()
    assert outcome.ok, outcome.logs
    print(f"jobs.work with an access key: {outcome.units} compute units")
    assert outcome.units < UNITS_ALLOWED


@pytest.mark.parametrize("case", BAD)
def test_access_keys_that_do_not(case: str) -> None:
    assert refusal(KeyScene(BAD[case]).knock()) == ("NodeKeyInvalidCollection", "metadata")


def test_metadata_must_lie_at_its_address() -> None:
    scene = KeyScene()
    elsewhere = scene.world.put(scene.world.key(), METAPLEX, metadata())
    assert refusal(scene.knock(metadata=elsewhere)) == ("NodeKeyInvalidCollection", "metadata")


def test_the_owner_of_the_metadata_is_not_looked_at() -> None:
    scene = KeyScene()
    scene.world.put(scene.metadata, scene.world.programs["jobs"], metadata())
    assert scene.knock().ok


def test_the_key_must_be_the_nodes_and_there() -> None:
    scene = KeyScene()
    foreign = scene.world.put_tokens(scene.world.key(), Pubkey.new_unique(), 0, scene.nft_mint)
    empty = scene.world.put_tokens(scene.world.key(), scene.node, 0, scene.nft_mint)
    assert refusal(scene.knock(nft=foreign)) == ("NodeNftWrongOwner", "nft")
    assert refusal(scene.knock(nft=empty)) == ("NodeNftInvalidAmount", "nft")


def test_without_an_access_key_any_token_account_will_do() -> None:
    scene = Scene()
    nft = scene.world.put_tokens(scene.world.key(), Pubkey.new_unique(), 0, scene.world.put_mint(scene.world.key()))
    assert scene.attempt("work", nft=nft).send().ok


@pytest.mark.parametrize(("xnos", "minimum", "enough"), [(2**70, 2**70, True), (2**70 - 1, 2**70, False), (1, 0, True)])
def test_stake_against_the_minimum(xnos: int, minimum: int, enough: bool) -> None:
    scene = Scene(minimum=minimum)
    scene.world.put_stake(scene.node, xnos=xnos)
    outcome = scene.attempt("work").send()
    assert outcome.ok == enough
    assert enough or refusal(outcome) == ("NodeNotEnoughStake", "stake")


def _gone(scene: Scene) -> None:
    scene.world.put(scene.world.stake(scene.node), scene.world.programs["staking"], b"", 0)


def _foreign(scene: Scene) -> None:
    scene.world.put(scene.world.stake(scene.node), scene.world.programs["nodes"], bytes(120))


def _unlike(scene: Scene) -> None:
    scene.world.put(scene.world.stake(scene.node), scene.world.programs["staking"], bytes(120))


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (_gone, "AccountNotInitialized"),
        (_foreign, "AccountOwnedByWrongProgram"),
        (_unlike, "AccountDiscriminatorMismatch"),
    ],
)
@pytest.mark.parametrize("instruction", ["work", "claim"])
def test_a_node_needs_a_stake_even_for_a_minimum_of_zero(instruction: str, spoil: object, error: str) -> None:
    scene = Scene()
    if instruction == "claim":
        quit_job(scene)
    assert callable(spoil)
    spoil(scene)
    assert refusal(scene.attempt(instruction).send()) == (error, "stake")


def test_claim_asks_for_the_access_key_as_well() -> None:
    scene = KeyScene()
    scene.post()
    assert scene.knock().ok
    scene.expect(scene.attempt("quit"))
    scene.run = scene.world.key()
    assert refusal(scene.attempt("claim").send()) == ("NodeNftInvalidAmount", "nft")
    claim: Attempt = scene.attempt("claim", nft=scene.nft, metadata=scene.metadata)
    assert claim.send().ok
    assert u128(0) == scene.world.data(scene.world.stake(scene.node))[97:113]
