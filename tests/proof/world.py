"""A chain and a content store that hold one settled job, made in memory, with a real signed settle transaction."""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from solders.hash import Hash
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.transaction import VersionedTransaction

from node.chain import addresses
from node.chain import memo as chain_memo
from node.chain.accounts import RawAccount, encode_job
from node.chain.clusters import DEVNET, MEMO_PROGRAM
from node.chain.instructions import jobs
from node.chain.replies import BlockSummary, LandedInstruction, LandedTransaction, SignatureInfo, TokenChange
from node.content.cid import file_cid
from node.content.merkle import MerkleHasher
from node.errors import ContentMismatch, ContentUnavailable
from node.proof.card import build_card
from node.proof.memo import card_memo, receipt_memo
from node.proof.result_checks import log_lines
from node.records import Address, Cid, FetchedDefinition, Job, JobState, LogDigest, Signature

from .test_receipt import ASSIGNMENT, GPU, HOST, JOB, KEY, NODE, OUTCOME, RUN, address, receipt, sign

LOGS = [{"log": f"line {n} é\n", "type": "stdout", "timestamp": f"2026-01-01T00:00:{n:02}Z"} for n in range(9)]
USER = address(20)
TIME = 500
"""Unix seconds of slot 0; a slot takes a second."""
BLOCKHASHES = {500: str(address(5)), 510: str(address(6))}
"""Those that the receipt names."""


def signature(seed: int) -> Signature:
    return Signature(str(Keypair.from_seed(bytes([seed]) * 32).sign_message(b"")))


@dataclass
class World:
    """A chain and a content store that hold one settled job."""

    accounts: dict[str, RawAccount] = field(default_factory=dict)
    transactions: dict[str, LandedTransaction] = field(default_factory=dict)
    history: dict[str, list[SignatureInfo]] = field(default_factory=dict)
    """Newest first."""
    files: dict[str, bytes] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    blocks: dict[int, BlockSummary] = field(default_factory=dict)

    settle: Signature = field(default_factory=lambda: Signature(""))
    """Of the transaction that settled the job."""

    async def get_account(self, address: Address) -> RawAccount | None:
        return self.accounts.get(address)

    async def get_transaction(self, signature: Signature) -> LandedTransaction | None:
        return self.transactions.get(signature)

    async def get_signatures_for_address(
        self, address: Address, *, limit: int, before: Signature | None = None, until: Signature | None = None
    ) -> tuple[SignatureInfo, ...]:
        entries = list(self.history.get(address, []))
        # By place, or by slot where the endpoint does not list that transaction (any more).
        for bound, keep_older in ((before, True), (until, False)):
            names = [each.signature for each in entries]
            if bound is not None and bound in names:
                at = names.index(bound)
                entries = entries[at + 1 :] if keep_older else entries[:at]
            elif bound is not None:
                slot = self.transactions[bound].slot
                entries = [each for each in entries if (each.slot < slot) is keep_older]
        return tuple(entries[:limit])

    async def get_block(self, slot: int) -> BlockSummary | None:
        return self.blocks.get(slot)

    async def fetch(self, cid: Cid, limit: int) -> FetchedDefinition:
        if cid in self.broken:
            raise ContentMismatch(f"not {cid}")
        if cid not in self.files:
            raise ContentUnavailable(f"no {cid}")
        return FetchedDefinition(cid, self.files[cid], "test")

    def keep(self, data: bytes) -> Cid:
        cid = file_cid(data)
        self.files[cid] = data
        return cid

    def land(self, transaction: LandedTransaction, *about: Address) -> None:
        self.transactions[transaction.signature] = transaction
        texts = "; ".join(f"[{len(text)}] {text}" for text in chain_memo.memos(transaction)) or None
        entry = SignatureInfo(transaction.signature, transaction.slot, transaction.failure is not None, texts, None)
        for each in about:
            known = [*self.history.get(each, []), entry]
            self.history[each] = sorted(known, key=lambda entry: -entry.slot)

    def change(self, **changes: Any) -> None:
        """Have the endpoint show another settle transaction than the signed one, of which it keeps no bytes."""
        self.transactions[self.settle] = replace(self.transactions[self.settle], **{"wire": b"", **changes})

    def anchor(self, cid: Cid) -> None:
        """Have the settle transaction name another receipt."""
        self.change(
            instructions=(self.transactions[self.settle].instructions[0], memo(receipt_memo(cid))),
        )


def wired(slot: int, *instructions: Instruction, key: Keypair = KEY, **more: Any) -> LandedTransaction:
    """A landed transaction that the key paid for and signed, as its wire bytes have it."""
    message = MessageV0.try_compile(key.pubkey(), list(instructions), [], Hash.hash(str(slot).encode()))
    transaction = VersionedTransaction(message, [key])
    keys = tuple(Address(str(each)) for each in message.account_keys)
    made = LandedTransaction(
        signature=Signature(str(transaction.signatures[0])),
        slot=slot,
        time=TIME + slot,
        fee=5000,
        payer_change=-5000,
        failure=None,
        logs=(),
        keys=keys,
        signers=keys[:1],
        instructions=tuple(instruction(each) for each in instructions),
        token_changes=(TokenChange(USER, DEVNET.nos_mint, NODE, 50, 350),),
        wire=bytes(transaction),
    )
    return replace(made, **more)


def memo(text: str, signer: Address = NODE) -> LandedInstruction:
    return LandedInstruction(MEMO_PROGRAM, (signer,), text.encode())


def landed(seed: int, slot: int, *instructions: LandedInstruction, **more: Any) -> LandedTransaction:
    transaction = LandedTransaction(
        signature=signature(seed),
        slot=slot,
        time=None,
        fee=5000,
        payer_change=-5000,
        failure=None,
        logs=(),
        keys=(NODE,),
        signers=(NODE,),
        instructions=instructions,
        token_changes=(TokenChange(USER, DEVNET.nos_mint, NODE, 50, 350),),
    )
    return replace(transaction, **more)


def instruction(built: Any) -> LandedInstruction:
    return LandedInstruction(
        Address(str(built.program_id)), tuple(Address(str(meta.pubkey)) for meta in built.accounts), bytes(built.data)
    )


def finish(result: Cid, job: Address = JOB.address, run: Address = RUN.address) -> Instruction:
    return jobs.finish(
        DEVNET,
        job=job,
        run=run,
        market=JOB.market,
        payer_run=NODE,
        payer_job=JOB.payer,
        authority=NODE,
        user=USER,
        result=result,
    )


@dataclass
class Parts:
    """What a test may change before the world is made."""

    result: dict[str, Any] = field(default_factory=dict)
    receipt: dict[str, Any] = field(default_factory=dict)
    job: dict[str, Any] = field(default_factory=dict)
    settle: dict[str, Any] = field(default_factory=dict)
    memo: str | None = None


def earlier(made: World) -> tuple[Cid, Signature]:
    """The node's first receipt, settled: its CID, and the settle transaction's signature."""
    job, run, result = address(40), address(41), made.keep(b"{}")
    given = replace(ASSIGNMENT, job=replace(JOB, address=job), run=replace(RUN, address=run), slot=400)
    outcome = replace(OUTCOME, job=job, end_slot=410)
    changes = {"assignment": given, "outcome": outcome, "previous": None, "previous_reason": "the first"}
    cid = made.keep(receipt(result=result, **changes))
    settle = wired(420, finish(result, job, run), chain_memo.memo(NODE, receipt_memo(cid)))
    made.land(settle, NODE, job, run)
    return cid, settle.signature


def world(parts: Parts | None = None) -> World:
    parts = parts or Parts()
    made = World()
    state = {"operationId": "a", "status": "success", "exitCode": 0, "logs": LOGS}
    document = {"status": "success", "startTime": 1, "endTime": 2, "secrets": {}, "opStates": [state]} | parts.result
    result = made.keep(json.dumps(document).encode())
    hasher = MerkleHasher()
    for line in log_lines(LOGS):
        hasher.update(line)
    digest = LogDigest(root=hasher.root(), length=hasher.length)
    outcome = replace(OUTCOME, operations=(replace(OUTCOME.operations[0], log=digest),))
    before = earlier(made)
    signed = made.keep(receipt(**({"result": result, "outcome": outcome, "previous": before} | parts.receipt)))
    job: Job = replace(JOB, result_cid=result, state=JobState.DONE, time_start=1000, time_end=1003)
    job = replace(job, **parts.job)
    made.accounts[JOB.address] = RawAccount(JOB.address, DEVNET.jobs, 1, encode_job(job))
    text = receipt_memo(signed) if parts.memo is None else parts.memo
    made.land(
        landed(
            1, 505, instruction(jobs.quit_run(DEVNET, job=JOB.address, run=RUN.address, payer_run=NODE, authority=NODE))
        ),
        JOB.address,
    )
    settle = wired(520, finish(result), chain_memo.memo(NODE, text), **parts.settle)
    made.settle = settle.signature
    made.land(settle, NODE, JOB.address, RUN.address)
    for moment in (500, 510):
        made.blocks[moment] = BlockSummary(moment, BLOCKHASHES[moment], moment, TIME + moment)
    registered = addresses.node_account(DEVNET, NODE)
    card = made.keep(build_card(NODE, [GPU], HOST, agent_version="0.1.0", sign=sign))
    made.land(landed(3, 100, memo(card_memo(card))), registered)
    return made
