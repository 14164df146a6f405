"""A program deployed by transactions, as `solana program deploy` does it."""

from __future__ import annotations

import struct

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, create_account

from node.localnet.app import Localnet
from node.localnet.loaders import UPGRADEABLE_LOADER, code_address
from node.localnet.sending import send

_PIECE = 900
_RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
_CLOCK = Pubkey.from_string("SysvarC1ock11111111111111111111111111111111")


def writes(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=True)


def reads(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=False, is_writable=False)


def signs(key: Pubkey) -> AccountMeta:
    return AccountMeta(key, is_signer=True, is_writable=True)


def deploy(net: Localnet, payer: Keypair, program: Keypair, code: bytes) -> None:
    """Write the code into a buffer and make a program of it, which the payer may upgrade."""
    rent, owner, buffer = net.validator.bank.minimum_rent, payer.pubkey(), Keypair()

    def made(key: Keypair, size: int) -> Instruction:
        return create_account(
            CreateAccountParams(
                from_pubkey=owner, to_pubkey=key.pubkey(), lamports=rent(size), space=size, owner=UPGRADEABLE_LOADER
            )
        )

    begin = Instruction(UPGRADEABLE_LOADER, struct.pack("<I", 0), [writes(buffer.pubkey()), reads(owner)])
    send(net.validator, payer, [made(buffer, 37 + len(code)), begin], buffer)
    for start in range(0, len(code), _PIECE):
        piece = code[start : start + _PIECE]
        body = struct.pack("<IIQ", 1, start, len(piece)) + piece
        send(net.validator, payer, [Instruction(UPGRADEABLE_LOADER, body, [writes(buffer.pubkey()), signs(owner)])])
        net.advance()
    metas = [
        signs(owner),
        writes(code_address(program.pubkey())),
        writes(program.pubkey()),
        writes(buffer.pubkey()),
        *map(reads, (_RENT, _CLOCK, Pubkey.default())),
        signs(owner),
    ]
    finish = Instruction(UPGRADEABLE_LOADER, struct.pack("<IQ", 2, len(code)), metas)
    send(net.validator, payer, [made(program, 36), finish], program)
