"""The host's NodeAccount and the memo that names its host card."""

from __future__ import annotations

from dataclasses import dataclass, replace

from solders.instruction import Instruction

from node.chain import accounts, addresses
from node.chain.instructions import nodes
from node.chain.instructions.nodes import PROFILE_TEXT_LIMIT
from node.chain.memo import memo, memos
from node.market.context import MarketContext
from node.records import Address, Cid, NodeAccount, NodeProfile, Signature

CARD_MEMO = "gpunode/1 h="
"""Memo of a register or update transaction, followed by the host card's CID."""
HISTORY = 50
"""Transactions of a node account that are searched for its newest card memo."""


@dataclass(frozen=True, slots=True)
class RegisterResult:
    """The NodeAccount after registering; `signature` is None when nothing had to change."""

    address: Address
    signature: Signature | None
    changed: bool


async def ensure(context: MarketContext, profile: NodeProfile, card: Cid | None) -> RegisterResult:
    """Register the host, or update its account when what it says or the host card has changed.

    Raises TransactionFailed (with the nodes program's named error) and what reads raise.
    """
    profile = fitted(profile)
    address = addresses.node_account(context.cluster, context.node)
    known = await read(context, context.node)
    if (
        known is not None
        and known.profile == profile
        and (card is None or await card_of(context, context.node) == card)
    ):
        return RegisterResult(address, None, changed=False)
    instructions: list[Instruction] = [
        nodes.register(context.cluster, authority=context.node, profile=profile)
        if known is None
        else nodes.update(context.cluster, authority=context.node, profile=profile)
    ]
    if card is not None:
        instructions.append(memo(context.node, f"{CARD_MEMO}{card}"))
    kind = "register" if known is None else "update"
    landed = await context.send(f"{kind}:{context.node}", kind, instructions)
    return RegisterResult(address, landed.signature, changed=True)


async def read(context: MarketContext, node: Address) -> NodeAccount | None:
    """What is registered of a node, None if nothing is."""
    raw = await context.rpc.get_account(addresses.node_account(context.cluster, node))
    return None if raw is None else accounts.decode_node(raw, context.cluster)


async def card_of(context: MarketContext, node: Address) -> Cid | None:
    """The CID of the newest host card that a successful transaction of the node account names."""
    account = addresses.node_account(context.cluster, node)
    for entry in await context.rpc.get_signatures_for_address(account, limit=HISTORY):
        # The history's own memo field may be anybody's; only a memo that the node's key signed counts.
        if entry.failed or entry.memo is None or CARD_MEMO not in entry.memo:
            continue
        landed = await context.rpc.get_transaction(entry.signature)
        for text in () if landed is None else memos(landed, signer=node):
            if text.startswith(CARD_MEMO):
                return Cid(text.removeprefix(CARD_MEMO).split()[0])
    return None


def fitted(profile: NodeProfile) -> NodeProfile:
    """The profile with its texts cut to the 62 bytes the account has: version first, then endpoint, then icon.

    A text that does not fit whole is left out, because half an address is worse than none.
    """
    room = PROFILE_TEXT_LIMIT
    kept = []
    for text in (profile.version, profile.endpoint, profile.icon):
        kept.append(text if len(text.encode()) <= room else "")
        room -= len(kept[-1].encode())
    version, endpoint, icon = kept
    return replace(profile, version=version, endpoint=endpoint, icon=icon)
