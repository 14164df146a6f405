"""`gpunode doctor`: every row that can be wrong is wrong when it is, with what to do, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from solders.account import Account
from solders.keypair import Keypair

from node.chain import accounts, addresses
from node.chain.token_accounts import TokenAccount, encode_token_account
from node.chain.wallet import Wallet
from node.localnet.app import Localnet
from node.records import SYSTEM_PROGRAM, Address, Market, QueueType
from tests.cli.conftest import Chain, Shell


def _fresh() -> Address:
    return Address(str(Keypair().pubkey()))


def _market(chain: Chain, *, access_key: Address = SYSTEM_PROGRAM, xnos_minimum: int = 0) -> Address:
    """A market of other terms, put in place beside the chain's own."""
    address, owner = _fresh(), _fresh()

    def place(net: Localnet) -> None:
        market = Market(
            address, owner, 86_400, 1_000, 7_200, 0, _fresh(), access_key, xnos_minimum, QueueType.EMPTY, ()
        )
        _place(net, address, net.cluster.jobs, accounts.encode_market(market))

    chain.do(place)
    return address


def _place(net: Localnet, address: Address, owner: Address, data: bytes) -> None:
    account = Account(100_000_000, data, addresses.to_key(owner))
    net.validator.bank.set_account(addresses.to_key(address), account, net.validator.slots.head.slot)
    net.advance(5)


class Patient:
    """A host's settings, and what the doctor says of them."""

    def __init__(self, shell: Shell, chain: Chain) -> None:
        self._shell = shell
        self.file = shell.init("--rpc", chain.rpc_url, "--content", chain.content_url)
        self.address = Wallet.load(shell.home / "main.json").address
        chain.do(lambda net: net.endow(self.address, sol=1, nos=1))

    def rows(self) -> dict[str, dict[str, Any]]:
        answer = self._shell("doctor", "--settings", self.file, "--json")
        assert answer.status in (0, 3), answer.out + answer.err
        known: dict[str, Any] = answer.document
        assert known["ok"] is (answer.status == 0)
        assert known["ok"] is all(row["ok"] is not False for row in known["findings"])
        for row in known["findings"]:
            assert row["ok"] is not False or row["fix"], row
        return {row["name"]: row for row in known["findings"]}


@pytest.fixture
def patient(shell: Shell, chain: Chain) -> Patient:
    return Patient(shell, chain)


Sets = Callable[[pytest.MonkeyPatch, Chain, Path], None]


def _env(name: str, value: str) -> Sets:
    return lambda patch, _chain, _home: patch.setenv(name, value)


def _locked_market(patch: pytest.MonkeyPatch, chain: Chain, _home: Path) -> None:
    patch.setenv("GPUNODE_LANES__0__MARKET", _market(chain, access_key=_fresh()))


def _dear_market(patch: pytest.MonkeyPatch, chain: Chain, _home: Path) -> None:
    patch.setenv("GPUNODE_LANES__0__MARKET", _market(chain, xnos_minimum=5_000_000))


def _other_mint(patch: pytest.MonkeyPatch, chain: Chain, _home: Path) -> None:
    account = _fresh()
    data = encode_token_account(TokenAccount(account, _fresh(), _fresh(), 1))
    chain.do(lambda net: _place(net, account, net.cluster.token, data))
    patch.setenv("GPUNODE_LANES__0__PAYOUT", account)


@pytest.mark.parametrize(
    ("sets", "row", "seen", "fix"),
    [
        (_locked_market, "access key of main", "asks for an access key of collection", "get a key"),
        (_dear_market, "stake of main", "0.000000 xNOS of 5.000000 asked", "gpunode stake"),
        (_env("GPUNODE_STAKE__CREATE", "false"), "stake of main", "stake.create is off", "gpunode stake create"),
        (_other_mint, "payout of main", "not NOS", "payout"),
        (_env("GPUNODE_LANES__0__MARKET", _fresh()), "market of main", "there is no market", "gpunode market list"),
        (_env("GPUNODE_LANES__0__GPUS", "[GPU-none]"), "GPUs of main", "not there: GPU-none", "gpunode gpus"),
        (_env("GPUNODE_LIMITS__DISK_FREE", "900 TiB"), "disk", "921600.0 GiB asked", "limits.disk_free"),
        (_env("GPUNODE_ENGINE__SOCKET", "/nowhere/docker.sock"), "container engine", "does not answer", ""),
        (_env("GPUNODE_CONTENT__STORES", "[]"), "content store", "none is set", "content.stores"),
        (
            _env("GPUNODE_CONTENT__STORES", json.dumps([{"kind": "kubo", "url": "http://127.0.0.1:9"}])),
            "content store http://127.0.0.1:9",
            "does not answer",
            "content",
        ),
        (
            _env("GPUNODE_CONTENT__GATEWAYS", '["http://127.0.0.1:9/ipfs/"]'),
            "gateway http://127.0.0.1:9",
            "does not answer",
            "content",
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(
    patient: Patient,
    shell: Shell,
    chain: Chain,
    monkeypatch: pytest.MonkeyPatch,
    sets: Sets,
    row: str,
    seen: str,
    fix: str,
) -> None:
    sets(monkeypatch, chain, shell.home)
    found = patient.rows()[row]
    assert found["ok"] is False
    assert seen in found["seen"]
    assert fix in found["fix"]


@pytest.mark.long
def test_a_store_that_is_no_ipfs_node(patient: Patient, chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain's own RPC server answers too, but not as a store would."""
    monkeypatch.setenv("GPUNODE_CONTENT__STORES", json.dumps([{"kind": "kubo", "url": chain.rpc_url}]))
    found = patient.rows()[f"content store {chain.rpc_url}"]
    assert found["ok"] is False
    assert "HTTP 4" in found["seen"]


class _Guarded(BaseHTTPRequestHandler):
    """Wants a token, whatever it is asked."""

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(200 if self.headers.get("authorization") == "Bearer RIGHT" else 403)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def _guarded() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Guarded)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["kubo", "pinata"])
def test_a_store_is_shown_its_token(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    token = tmp_path / "token"
    with _guarded() as url:
        store = {"kind": kind, "url": url, "jwt_file": str(token)}
        monkeypatch.setenv("GPUNODE_CONTENT__STORES", json.dumps([store]))
        for text, ok, said in (("WRONG", False, "refuses the token"), ("RIGHT", True, "answers")):
            token.write_text(text)
            found = patient.rows()[f"content store {url}"]
            assert (found["ok"], said in found["seen"]) == (ok, True), found
        token.unlink()
        found = patient.rows()[f"content store {url}"]
    assert found["ok"] is False
    assert "cannot be read" in found["seen"]


def test_it_changes_nothing(patient: Patient, shell: Shell, chain: Chain) -> None:
    def everything() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(shell.home.rglob("*")) if path.is_file()}

    before = everything()
    lamports = shell("wallet", "--settings", patient.file, "--json").document["lamports"]
    rows = patient.rows()
    assert rows["SOL of main"]["ok"] is True
    assert rows["stake of main"]["seen"] == "none yet; `gpunode run` makes an empty one"
    assert everything() == before
    assert shell("wallet", "--settings", patient.file, "--json").document["lamports"] == lamports


def test_the_sum_that_is_asked_for_is_enough(shell: Shell, chain: Chain) -> None:
    file = shell.init("--rpc", chain.rpc_url, "--content", chain.content_url)
    address = Wallet.load(shell.home / "main.json").address
    poor = {row["name"]: row for row in shell("doctor", "--settings", file, "--json").document["findings"]}
    amount = float(poor["SOL of main"]["fix"].split()[1])
    chain.do(lambda net: net.endow(address, sol=amount))
    chain.do(lambda net: net.advance(40))
    rich = {row["name"]: row for row in shell("doctor", "--settings", file, "--json").document["findings"]}
    assert rich["SOL of main"]["ok"] is True
