"""The chain of receipts: what the receipts before this one show, and whether one was left out.

Each receipt names the one before it and the transaction that settled that one's job. Since the settlements' order on
the chain cannot be changed afterwards, neither can the receipts', nor can one be taken out unnoticed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from node.content.cid import file_cid
from node.errors import ProofError
from node.proof.checks import Ledger
from node.proof.evidence import Anchor, ChainFacts, Document, Evidence
from node.proof.receipt import Receipt, verify_receipt
from node.proof.settled import Settled, receipt_in
from node.records import Address, Cid, Signature

NOT_ASKED = "earlier receipts were not asked for (--chain)"


@dataclass(frozen=True, slots=True)
class Link:
    """A receipt of the chain of receipts."""

    cid: Cid
    receipt: Receipt
    settle: Signature | None
    """Named by the receipt after it; of the newest: of the transaction that settled its job."""


@dataclass(frozen=True, slots=True)
class Walk:
    """The receipts, newest first, as far as they could be followed."""

    links: tuple[Link, ...]
    wrong: str
    """What is wrong with the receipt after the last of `links`; empty: nothing."""
    end: str
    """Why the walk ended."""


def check_chain(ledger: Ledger, evidence: Evidence, receipt: Receipt, cid: Cid, settled: Settled | None) -> None:
    """All lines on the chain of receipts."""
    if evidence.chain_length < 1:
        for name in ("receipt_chain", "receipt_chain_settled", "receipts_complete", "next_receipt"):
            ledger.skipped(name, NOT_ASKED)
        return
    walk = follow(evidence, receipt, cid, settled)
    earlier = len(walk.links) - 1
    told = f"{_counted(earlier, 'earlier receipt')}, named by the one after it and signed by the node; {walk.end}"
    if walk.wrong:
        ledger.proven("receipt_chain", False, walk.wrong)
    elif earlier:
        ledger.proven("receipt_chain", True, told)
    else:
        ledger.skipped("receipt_chain", walk.end)
    if evidence.chain is None or settled is None:
        for name in ("receipt_chain_settled", "receipts_complete", "next_receipt"):
            ledger.skipped(name, "the chain was not asked")
        return
    _settlements(ledger, evidence.chain, walk, settled)
    _complete(ledger, evidence, evidence.chain, walk, settled)
    _next(ledger, evidence, evidence.chain, walk, settled)


def follow(evidence: Evidence, receipt: Receipt, cid: Cid, settled: Settled | None) -> Walk:
    """From this receipt back, through documents whose CID and signature hold."""
    documents = {document.cid: document for document in evidence.earlier}
    links = [Link(cid, receipt, None if settled is None else settled.transaction.signature)]
    while True:
        newest = links[-1].receipt
        if newest.prev is None:
            seen = "" if newest.prev_seen is None else f"; the chain showed it receipt {newest.prev_seen.receipt}"
            return Walk(tuple(links), "", f"the chain begins there: {newest.prev_reason}{seen}")
        if len(links) > evidence.chain_length:
            return Walk(tuple(links), "", "those before were not asked for")
        named = Cid(newest.prev.receipt)
        document = documents.get(named)
        if document is None or (document.body is None and not document.refused):
            why = "it is not at hand" if document is None else document.detail
            return Walk(tuple(links), "", f"receipt {named} cannot be had: {why}")
        try:
            earlier = opened(document, Address(receipt.node))
        except ProofError as error:
            return Walk(tuple(links), f"receipt {named}, which is named as the one before: {error.message}", "")
        if earlier.start.slot > newest.start.slot:
            wrong = f"receipt {named} began at slot {earlier.start.slot}, after the one that follows it"
            return Walk(tuple(links), wrong, "")
        links.append(Link(named, earlier, Signature(newest.prev.settle)))


def opened(document: Document, node: Address) -> Receipt:
    """The receipt in a document, if it is the one that its CID names and the node signed it. Raises ProofError."""
    if document.body is None:
        raise ProofError(document.detail)
    if not document.matched and (found := file_cid(document.body)) != document.cid:
        raise ProofError(f"its bytes have CID {found}")
    return verify_receipt(document.body, node)


def _counted(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _slot(facts: ChainFacts, link: Link) -> int | None:
    """Slot in which the settlement that names the receipt landed."""
    landed = None if link.settle is None else facts.transactions.get(link.settle)
    if landed is not None:
        return landed.slot
    again = _anchor_of(facts, link.cid)
    return None if again is None else again.slot


def _anchor_of(facts: ChainFacts, cid: Cid) -> Anchor | None:
    if facts.history is None:
        return None
    anchors = (*facts.history.anchors, *([facts.history.next] if facts.history.next else []))
    return next((anchor for anchor in anchors if anchor.receipt == cid), None)


def _settlements(ledger: Ledger, facts: ChainFacts, walk: Walk, settled: Settled) -> None:
    """Whether the settlements that receipts name are on the chain and name those receipts; and whether in their order,
    which a fork may change without anybody's doing: the same signed bytes land again, a little later."""
    above, landed, order, notes = settled.transaction.slot, 0, "in the receipts' order", []
    node = Address(walk.links[0].receipt.node)
    for link in walk.links[1:]:
        assert link.settle is not None
        transaction = facts.transactions.get(link.settle)
        if transaction is None:
            note, known = _taken_back(facts, link)
            notes.append(note)
            landed += known
            continue
        named = receipt_in(transaction, node)
        if named != link.cid:
            told = f"transaction {link.settle} names {named or 'no receipt'} of this node, not {link.cid}"
            ledger.proven("receipt_chain_settled", False, told)
            return
        if transaction.slot > above:
            order = "not all in the receipts' order"
            notes.append(
                f"{link.cid} landed in slot {transaction.slot}, after the one that follows it ({above}), as by a fork"
            )
        above, landed = transaction.slot, landed + 1
    told = "; ".join([f"{_counted(landed, 'settlement')} on the chain, {order}", *notes[:3]])
    if landed:
        ledger.proven("receipt_chain_settled", True, told)
    else:
        ledger.skipped("receipt_chain_settled", "; ".join(notes[:3]) or walk.end or walk.wrong)


def _taken_back(facts: ChainFacts, link: Link) -> tuple[str, bool]:
    """What is known of a settlement that the chain does not have; whether the receipt is on the chain all the same."""
    again = _anchor_of(facts, link.cid)
    if again is not None:
        return f"{link.settle} is gone, as after a fork; {link.cid} was settled again by {again.signature}", True
    history = facts.history
    if history is not None and history.complete_from <= link.receipt.start.slot:
        return f"{link.settle} is gone, as after a fork: no settlement on the chain names {link.cid}", False
    return f"the endpoint does not hold {link.settle}, which settled {link.cid}", False


def _complete(ledger: Ledger, evidence: Evidence, facts: ChainFacts, walk: Walk, settled: Settled) -> None:
    """Whether each receipt that the key settled in between is one of the chain of receipts."""
    history = facts.history
    slots = [(slot, link) for link in walk.links[1:] if (slot := _slot(facts, link)) is not None]
    if history is None or not slots:
        ledger.skipped("receipts_complete", walk.wrong or walk.end or "the key's history was not looked through")
        return
    oldest = min(slot for slot, _ in slots)
    since = max(oldest, history.complete_from)
    members = {link.cid for link in walk.links}
    strangers = [
        anchor
        for anchor in history.anchors
        if since <= anchor.slot <= settled.transaction.slot and anchor.receipt not in members
    ]
    chain = sorted([*slots, (settled.transaction.slot, walk.links[0])], key=lambda item: item[0])
    starts = _starts(evidence.others, Address(walk.links[0].receipt.node))
    omitted = [anchor for anchor in strangers if not _late(anchor, chain, starts)]
    if omitted:
        first = omitted[-1]
        told = (
            f"left out of the chain of receipts: {_counted(len(omitted), 'receipt')} that the key settled; the first is"
            f" {first.receipt}, settled in slot {first.slot} by {first.signature}"
        )
        ledger.consistent("receipts_complete", False, told)
    elif since >= settled.transaction.slot:
        ledger.skipped("receipts_complete", history.reason or "there is nothing in between")
    else:
        told = f"every receipt that the key settled from slot {since} to {settled.transaction.slot} is in the chain"
        told += f", but for {len(strangers)} that were settled late" if strangers else ""
        told += f"; not looked at before: {history.reason}" if since > oldest else ""
        ledger.consistent("receipts_complete", True, told)


def _late(anchor: Anchor, chain: list[tuple[int, Link]], starts: dict[Cid, int]) -> bool:
    """Whether a receipt outside the chain was settled only when a later one had been written, as after a fork."""
    after = next((link for slot, link in chain if slot >= anchor.slot), None)
    if after is not None and anchor.slot >= after.receipt.start.slot:
        return True
    before = [link for slot, link in chain if slot <= anchor.slot]
    start = starts.get(anchor.receipt)
    return bool(before) and start is not None and start <= before[-1].receipt.start.slot


def _starts(documents: Iterable[Document], node: Address) -> dict[Cid, int]:
    """Slot at which the work of each receipt began."""
    found = {}
    for document in documents:
        try:
            found[document.cid] = opened(document, node).start.slot
        except ProofError:
            continue
    return found


def _next(ledger: Ledger, evidence: Evidence, facts: ChainFacts, walk: Walk, settled: Settled) -> None:
    """Whether the receipt of the key's next settlement names this one."""
    this, slot = walk.links[0], settled.transaction.slot
    history, document = facts.history, evidence.later
    if history is None or document is None:
        known = history is not None and history.next_known
        why = "the key has settled nothing since" if known else "what the key settled next was not found"
        ledger.skipped("next_receipt", why)
        return
    if document.body is None and not document.refused:
        ledger.skipped("next_receipt", f"receipt {document.cid} cannot be had: {document.detail}")
        return
    try:
        later = opened(document, Address(this.receipt.node))
    except ProofError as error:
        ledger.proven("next_receipt", False, f"receipt {document.cid}, which the key settled next: {error.message}")
        return
    named = None if later.prev is None else later.prev.receipt
    starts = _starts(evidence.others, Address(this.receipt.node))
    if named == this.cid:
        ledger.consistent("next_receipt", True, f"receipt {document.cid}, which the key settled next, names this one")
    elif named is None:
        ledger.skipped("next_receipt", f"the next receipt begins a new chain: {later.prev_reason}")
    elif later.start.slot <= slot or starts.get(Cid(named), -1) >= this.receipt.start.slot:
        ledger.skipped("next_receipt", f"receipt {document.cid} was begun before this one was settled")
    else:
        told = f"receipt {document.cid}, which the key settled next, names {named} as the one before it, not this one"
        ledger.consistent("next_receipt", False, told)
