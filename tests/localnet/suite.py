"""A test-suite of someone else, as far as a chain can tell: a Solana client with keys of its own."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from solana.rpc.async_api import AsyncClient
from solana.rpc.commitment import Confirmed
from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account
from solders.transaction import VersionedTransaction

from node.chain.addresses import to_address, to_key
from node.chain.clusters import METADATA_PROGRAM
from node.localnet import spl
from node.records import Address


class Suite:
    """Sends transactions and waits for them, as web3.js and anchor do."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    async def wallet(self, sol: int = 10) -> Keypair:
        """A key with SOL from the faucet."""
        key = Keypair()
        given = await self.client.request_airdrop(key.pubkey(), sol * 10**9)
        await self.client.confirm_transaction(given.value, Confirmed, sleep_seconds=0.05)
        return key

    async def send(self, instructions: Sequence[Instruction], payer: Keypair, *signers: Keypair) -> None:
        """A transaction that must be confirmed without an error."""
        latest = (await self.client.get_latest_blockhash(Confirmed)).value
        message = MessageV0.try_compile(payer.pubkey(), list(instructions), [], latest.blockhash)
        sent = await self.client.send_transaction(VersionedTransaction(message, [payer, *signers]))
        done = await self.client.confirm_transaction(sent.value, Confirmed, sleep_seconds=0.05)
        assert done.value[0] is not None
        assert done.value[0].err is None

    async def create_mint(
        self, payer: Keypair, mint: Keypair, decimals: int, program: Pubkey = spl.TOKEN_PROGRAM
    ) -> None:
        """A mint at the key's address, with the payer as its authority."""
        rent = (await self.client.get_minimum_balance_for_rent_exemption(spl.MINT_BYTES)).value
        made = create_account(
            CreateAccountParams(
                from_pubkey=payer.pubkey(), to_pubkey=mint.pubkey(), lamports=rent, space=spl.MINT_BYTES, owner=program
            )
        )
        body = struct.pack("<BB32sB", 20, decimals, bytes(payer.pubkey()), 0)  # InitializeMint2
        named = [AccountMeta(mint.pubkey(), is_signer=False, is_writable=True)]
        await self.send([made, Instruction(program, body, named)], payer, mint)

    async def tokens(self, account: Address) -> int:
        """What a token account holds."""
        return int((await self.client.get_token_account_balance(to_key(account), Confirmed)).value.amount)


def mint_to(mint: Pubkey, account: Address, authority: Keypair, amount: int) -> Instruction:
    """SPL Token's MintTo."""
    named = [
        AccountMeta(mint, is_signer=False, is_writable=True),
        AccountMeta(to_key(account), is_signer=False, is_writable=True),
        AccountMeta(authority.pubkey(), is_signer=True, is_writable=False),
    ]
    return Instruction(spl.TOKEN_PROGRAM, struct.pack("<BQ", 7, amount), named)


def metadata(mint: Pubkey, collection: Pubkey) -> Account:
    """A Metaplex-style metadata account: of a token of a verified collection."""
    texts = b"".join(struct.pack("<I", len(text)) + text for text in (b"Key", b"K", b"https://example.org"))
    tail = b"\x00" + b"\x01\x01" + b"\x01\xff" + b"\x01\x00" + b"\x01\x01" + bytes(collection) + b"\x00"
    data = b"\x04" + bytes(32) + bytes(mint) + texts + bytes(2) + tail
    return Account(10_000_000, data.ljust(679, b"\x00"), to_key(METADATA_PROGRAM), False)


def named(key: Keypair) -> Address:
    """A key's address."""
    return to_address(key.pubkey())
