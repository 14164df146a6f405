"""Sending, simulating and looking up transactions: what is refused, what lands, what is told afterwards."""

from __future__ import annotations

import base64

from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from node.localnet.blockhashes import MAX_AGE
from tests.localnet.rpc import CONFIRMED, MEMO, PROCESSED, RpcClient, address, legacy, memo, pay, signed, wallet, wire

BASE64 = {"encoding": "base64", "preflightCommitment": "processed"}
SKIP = {"encoding": "base64", "skipPreflight": True}
LOOKUP_PROGRAM = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")


async def test_the_same_transaction_is_refused_twice(rpc: RpcClient) -> None:
    payer, to = wallet(rpc.net), Keypair()
    transaction = pay(payer, to.pubkey(), 5_000_000, await rpc.blockhash())
    signature = await rpc.send(transaction)
    error = await rpc.fail("sendTransaction", wire(transaction), BASE64)
    assert error["code"] == -32002
    assert error["message"] == "Transaction simulation failed: This transaction has already been processed"
    assert error["data"]["err"] == "AlreadyProcessed"
    assert await rpc.call("sendTransaction", wire(transaction), SKIP) == signature
    assert (await rpc.call("getBalance", address(to), PROCESSED))["value"] == 5_000_000


async def test_a_blockhash_runs_out_after_150_blocks(rpc: RpcClient) -> None:
    payer, to = wallet(rpc.net), Keypair()
    found = (await rpc.call("getLatestBlockhash", PROCESSED))["value"]
    blockhash, last = Hash.from_string(found["blockhash"]), found["lastValidBlockHeight"]
    assert last - await rpc.call("getBlockHeight", PROCESSED) == MAX_AGE
    while await rpc.call("getBlockHeight", PROCESSED) < last:
        rpc.net.advance()
    assert (await rpc.call("isBlockhashValid", str(blockhash), PROCESSED))["value"] is True
    await rpc.send(pay(payer, to.pubkey(), 5_000_000, blockhash))
    while await rpc.call("getBlockHeight", PROCESSED) == last:
        rpc.net.advance()
    assert (await rpc.call("isBlockhashValid", str(blockhash), PROCESSED))["value"] is False
    late = pay(payer, to.pubkey(), 6_000_000, blockhash)
    error = await rpc.fail("sendTransaction", wire(late), BASE64)
    assert (error["code"], error["data"]["err"], error["data"]["logs"]) == (-32002, "BlockhashNotFound", [])
    signature = await rpc.call("sendTransaction", wire(late), SKIP)
    assert (await rpc.call("getSignatureStatuses", [signature]))["value"] == [None], "dropped without a word"
    assert (await rpc.call("getBalance", address(to), PROCESSED))["value"] == 5_000_000


async def test_a_wrong_signature_is_refused(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    good = pay(payer, Pubkey.new_unique(), 5_000_000, await rpc.blockhash())
    forged = VersionedTransaction.populate(good.message, [Signature.default()])
    error = await rpc.fail("sendTransaction", wire(forged), BASE64)
    assert (error["code"], error["data"]["err"]) == (-32002, "SignatureFailure")
    assert error["message"] == "Transaction simulation failed: Transaction did not pass signature verification"
    # Without preflight nobody looks before it is sent, and no block takes it.
    assert await rpc.call("sendTransaction", wire(forged), SKIP) == str(Signature.default())
    rpc.net.advance(3)
    balance = await rpc.call("getBalance", str(payer.pubkey()), PROCESSED)
    assert balance["value"] == 10**9
    tried = await rpc.call("simulateTransaction", wire(forged), {**BASE64, **PROCESSED, "sigVerify": True})
    assert tried["value"]["err"] == "SignatureFailure"
    tried = await rpc.call("simulateTransaction", wire(forged), {**BASE64, **PROCESSED})
    assert tried["value"]["err"] is None, "signatures are not looked at unless asked"


async def test_what_a_program_refuses_is_told_with_logs(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    transaction = pay(payer, Pubkey.new_unique(), 2 * 10**9, await rpc.blockhash())
    error = await rpc.fail("sendTransaction", wire(transaction), BASE64)
    assert error["code"] == -32002
    assert error["message"] == (
        "Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1"
    )
    assert error["data"]["err"] == {"InstructionError": [0, {"Custom": 1}]}
    assert error["data"]["logs"][0] == f"Program {'1' * 32} invoke [1]"
    assert error["data"]["unitsConsumed"] == 150
    assert (await rpc.call("getBalance", address(payer), PROCESSED))["value"] == 10**9


async def test_a_failure_that_skips_preflight_lands_and_costs_the_fee(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    transaction = pay(payer, Pubkey.new_unique(), 2 * 10**9, await rpc.blockhash())
    signature = await rpc.call("sendTransaction", wire(transaction), SKIP)
    failed = {"InstructionError": [0, {"Custom": 1}]}
    (status,) = (await rpc.call("getSignatureStatuses", [signature]))["value"]
    assert status["err"] == failed
    assert status["status"] == {"Err": failed}
    assert (await rpc.call("getBalance", address(payer), PROCESSED))["value"] == 10**9 - 5_000
    rpc.net.advance(3)
    found = await rpc.call("getTransaction", signature, {**CONFIRMED, "maxSupportedTransactionVersion": 0})
    assert found["meta"]["err"] == failed
    assert found["meta"]["fee"] == 5_000


async def test_garbage_is_invalid_params(rpc: RpcClient) -> None:
    for text in ("", "!!!", base64.b64encode(b"\1" * 40).decode(), base64.b64encode(bytes(1_300)).decode()):
        error = await rpc.fail("sendTransaction", text, BASE64)
        assert error["code"] == -32602, text
    assert (await rpc.fail("sendTransaction"))["code"] == -32602
    assert (await rpc.fail("sendTransaction", "a", {"encoding": "hex"}))["code"] == -32602


async def test_base58_is_the_default_encoding(rpc: RpcClient) -> None:
    from node.base58 import b58encode

    payer = wallet(rpc.net)
    transaction = pay(payer, Pubkey.new_unique(), 5_000_000, await rpc.blockhash())
    sent = await rpc.call("sendTransaction", b58encode(bytes(transaction)), {"preflightCommitment": "processed"})
    assert sent == str(transaction.signatures[0])


async def test_simulation_replaces_the_blockhash_and_shows_accounts(rpc: RpcClient) -> None:
    payer, to = wallet(rpc.net), Keypair()
    unsigned = pay(payer, to.pubkey(), 5_000_000, Hash.default())
    options = {**BASE64, **PROCESSED, "sigVerify": False}
    assert (await rpc.call("simulateTransaction", wire(unsigned), options))["value"]["err"] == "BlockhashNotFound"
    wanted = {"encoding": "base64", "addresses": [address(to), address(payer), str(Pubkey.new_unique())]}
    for transaction in (unsigned, legacy(_transfer(payer, to), payer, Hash.default())):
        options = {**BASE64, **PROCESSED, "replaceRecentBlockhash": True, "accounts": wanted}
        answer = await rpc.call("simulateTransaction", wire(transaction), options)
        value = answer["value"]
        assert value["err"] is None
        assert value["unitsConsumed"] == 150
        assert value["logs"][-1].endswith("success")
        assert [entry and entry["lamports"] for entry in value["accounts"]] == [5_000_000, 10**9 - 5_005_000, None]
        assert value["replacementBlockhash"]["blockhash"] == str(await rpc.blockhash())
    assert (await rpc.call("getBalance", address(to), PROCESSED))["value"] == 0
    conflict = {**options, "sigVerify": True}
    error = await rpc.fail("simulateTransaction", wire(unsigned), conflict)
    assert error["message"] == "sigVerify may not be used with replaceRecentBlockhash"


def _transfer(payer: Keypair, to: Keypair) -> list[Instruction]:
    return [transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to.pubkey(), lamports=5_000_000))]


async def test_get_transaction_in_its_encodings(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    transaction = signed([memo("hello", payer)], payer, await rpc.blockhash())
    signature = await rpc.send(transaction)
    options = {**CONFIRMED, "maxSupportedTransactionVersion": 0}
    assert await rpc.call("getTransaction", signature, options) is None, "not confirmed yet"
    rpc.net.advance(3)
    found = await rpc.call("getTransaction", signature, options)
    assert (found["version"], found["transaction"]["signatures"]) == (0, [signature])
    message = found["transaction"]["message"]
    assert message["header"] == {
        "numRequiredSignatures": 1,
        "numReadonlySignedAccounts": 0,
        "numReadonlyUnsignedAccounts": 1,
    }
    assert message["addressTableLookups"] == []
    assert found["blockTime"] == await rpc.call("getBlockTime", found["slot"])
    meta = found["meta"]
    assert meta["preBalances"][0] - meta["postBalances"][0] == meta["fee"] == 5_000
    assert meta["logMessages"][0] == f"Program {MEMO} invoke [1]"
    assert 'Program log: Memo (len 5): "hello"' in meta["logMessages"]
    assert meta["loadedAddresses"] == {"writable": [], "readonly": []}
    binary = await rpc.call("getTransaction", signature, {**options, "encoding": "base64"})
    assert binary["transaction"] == [wire(transaction), "base64"]
    parsed = await rpc.call("getTransaction", signature, {**options, "encoding": "jsonParsed"})
    assert parsed["transaction"]["message"]["instructions"][0]["parsed"] == "hello"
    assert parsed["transaction"]["message"]["accountKeys"][0] == {
        "pubkey": address(payer),
        "signer": True,
        "source": "transaction",
        "writable": True,
    }
    error = await rpc.fail("getTransaction", signature, CONFIRMED)
    assert error["code"] == -32015
    assert (await rpc.fail("getTransaction", signature, {**options, **PROCESSED}))["code"] == -32602


async def test_legacy_transactions_have_no_version_unless_asked(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    signature = await rpc.send(legacy([memo("x", payer)], payer, await rpc.blockhash()))
    rpc.net.advance(3)
    assert "version" not in await rpc.call("getTransaction", signature, CONFIRMED)
    found = await rpc.call("getTransaction", signature, {**CONFIRMED, "maxSupportedTransactionVersion": 0})
    assert found["version"] == "legacy"


async def test_token_balances_before_and_after(rpc: RpcClient) -> None:
    owner = str(Pubkey.new_unique())
    gift = rpc.net.fund(owner, nos=1.5)
    rpc.net.advance(3)
    meta = (await rpc.call("getTransaction", gift.signature, CONFIRMED))["meta"]
    assert meta["preTokenBalances"] == []
    (entry,) = meta["postTokenBalances"]
    assert (entry["mint"], entry["owner"]) == (rpc.net.mint, owner)
    assert entry["uiTokenAmount"] == {
        "amount": "1500000",
        "decimals": 6,
        "uiAmount": 1.5,
        "uiAmountString": "1.5",
    }
    assert meta["innerInstructions"], "the token account was created by a program on a program's behalf"


async def test_history_of_an_address_pages_and_shows_memos(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    sent = [await rpc.send(signed([memo(f"m{i}", payer)], payer, await rpc.blockhash())) for i in range(4)]
    two = signed([memo("a", payer), memo("bc", payer)], payer, await rpc.blockhash())
    sent.append(await rpc.send(two))
    assert await rpc.call("getSignaturesForAddress", address(payer), CONFIRMED) == []
    rpc.net.advance(3)
    rows = await rpc.call("getSignaturesForAddress", address(payer), CONFIRMED)
    assert [row["signature"] for row in rows[:5]] == sent[::-1]
    assert rows[0]["memo"] == "[1] a; [2] bc"
    assert rows[1]["memo"] == "[2] m3"
    assert rows[0]["confirmationStatus"] == "confirmed"
    assert {"slot", "err", "blockTime"} <= rows[0].keys()
    page = await rpc.call(
        "getSignaturesForAddress", address(payer), {**CONFIRMED, "before": sent[3], "until": sent[0], "limit": 5}
    )
    assert [row["signature"] for row in page] == [sent[2], sent[1]]
    assert (await rpc.fail("getSignaturesForAddress", address(payer), {"limit": 1_001}))["code"] == -32602


async def test_fee_for_message(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    fresh = signed([memo("x", payer)], payer, await rpc.blockhash()).message
    text = base64.b64encode(to_bytes_versioned(fresh)).decode()
    assert (await rpc.call("getFeeForMessage", text, PROCESSED))["value"] == 5_000
    stale = legacy([memo("x", payer)], payer, Hash.default()).message
    assert (await rpc.call("getFeeForMessage", base64.b64encode(bytes(stale)).decode(), PROCESSED))["value"] is None


async def test_addresses_from_a_lookup_table(rpc: RpcClient) -> None:
    payer, to = wallet(rpc.net), Pubkey.new_unique()
    slot = rpc.net.validator.slots.head.parent
    table, bump = Pubkey.find_program_address([bytes(payer.pubkey()), slot.to_bytes(8, "little")], LOOKUP_PROGRAM)
    own = AccountMeta(payer.pubkey(), is_signer=True, is_writable=True)
    place = AccountMeta(table, is_signer=False, is_writable=True)
    system = AccountMeta(Pubkey.default(), is_signer=False, is_writable=False)
    create = bytes(4) + slot.to_bytes(8, "little") + bytes([bump])
    extend = (2).to_bytes(4, "little") + (1).to_bytes(8, "little") + bytes(to)
    await rpc.send(
        signed(
            [
                Instruction(LOOKUP_PROGRAM, create, [place, own, own, system]),
                Instruction(LOOKUP_PROGRAM, extend, [place, own, own, system]),
            ],
            payer,
            await rpc.blockhash(),
        )
    )
    rpc.net.advance(3)
    from solders.address_lookup_table_account import AddressLookupTableAccount

    known = AddressLookupTableAccount(table, [to])
    pays = transfer(TransferParams(from_pubkey=payer.pubkey(), to_pubkey=to, lamports=5_000_000))
    message = MessageV0.try_compile(payer.pubkey(), [pays], [known], await rpc.blockhash())
    assert to not in message.account_keys
    signature = await rpc.send(VersionedTransaction(message, [payer]))
    rpc.net.advance(3)
    found = await rpc.call("getTransaction", signature, {**CONFIRMED, "maxSupportedTransactionVersion": 0})
    assert found["meta"]["loadedAddresses"] == {"writable": [str(to)], "readonly": []}
    assert (await rpc.call("getBalance", str(to), CONFIRMED))["value"] == 5_000_000
    (row,) = await rpc.call("getSignaturesForAddress", str(to), CONFIRMED)
    assert row["signature"] == signature


async def test_statuses_older_than_the_cache_need_the_history(rpc: RpcClient) -> None:
    payer = wallet(rpc.net)
    signature = await rpc.send(signed([memo("x", payer)], payer, await rpc.blockhash()))
    rpc.net.advance(350)
    assert (await rpc.call("getSignatureStatuses", [signature]))["value"] == [None]
    (found,) = (await rpc.call("getSignatureStatuses", [signature], {"searchTransactionHistory": True}))["value"]
    assert found["confirmationStatus"] == "finalized"
    assert (await rpc.fail("getSignatureStatuses", [signature] * 257))["code"] == -32602
