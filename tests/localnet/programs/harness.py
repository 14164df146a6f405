"""The compiled programs on a LiteSVM, and calls to them in which every account can be exchanged.

Calls are made from the programs' interfaces, not by the product's own builders: a test of a program must be able to
send what no builder would.
"""

from __future__ import annotations

import hashlib
import json
import re
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from solders.account import Account
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message
from solders.pubkey import Pubkey
from solders.transaction import Transaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from node.chain.clusters import IdSet
from node.localnet.artefacts import load_programs

SYSTEM = Pubkey.from_string("11111111111111111111111111111111")
TOKEN = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
ATA = Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL")
METAPLEX = Pubkey.from_string("metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s")
RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")
MINTS = {
    "devnet": Pubkey.from_string("devr1BGQndEW5k5zfvG5FsLyZv1Ap73vNgAHcQ9sUVP"),
    "mainnet": Pubkey.from_string("nosXBVoaCTtYdLvKY6Csb4AC8JCdQKKAaWYtx2ZMoo7"),
}
START = 1_734_307_200
"""Unix time at which every world begins."""
SOL = 1_000_000_000
UNITS_ALLOWED = 60_000
"""Compute units; clients ask for 200,000 or less."""

INTERFACES: dict[str, dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "chain" / "interfaces.json").read_text(encoding="utf-8")
)
"""program -> instruction -> discriminator, accounts with their flags, typed arguments."""

Argument = int | bytes | str
_WIDTHS = {"u8": 1, "bool": 1, "u16": 2, "u64": 8, "i64": 8, "u128": 16}


def encode(kind: str, value: Argument) -> bytes:
    """An argument as Borsh writes it."""
    if isinstance(value, str):
        return struct.pack("<I", len(value.encode())) + value.encode()
    if isinstance(value, bytes):
        return value
    return value.to_bytes(_WIDTHS[kind], "little", signed=kind.startswith("i"))


def u128(value: int) -> bytes:
    return value.to_bytes(16, "little")


def tag(name: str) -> bytes:
    return hashlib.sha256(f"account:{name}".encode()).digest()[:8]


def pda(seeds: list[bytes], program: Pubkey) -> Pubkey:
    return Pubkey.find_program_address(seeds, program)[0]


def ata(owner: Pubkey, mint: Pubkey) -> Pubkey:
    return pda([bytes(owner), bytes(TOKEN), bytes(mint)], ATA)


def number(data: bytes, offset: int, size: int = 8) -> int:
    return int.from_bytes(data[offset : offset + size], "little")


def token_data(mint: Pubkey, owner: Pubkey, amount: int, state: int = 1) -> bytes:
    body = bytes(mint) + bytes(owner) + struct.pack("<Q", amount)
    return (body + bytes(36) + bytes([state])).ljust(165, b"\0")


def accounts_of(program: str, name: str) -> list[str]:
    return [account for account, _ in INTERFACES[program][name]["accounts"]]


def every_instruction() -> list[tuple[str, str]]:
    return [(program, name) for program, interface in INTERFACES.items() for name in interface]


@dataclass
class Outcome:
    """What became of a transaction."""

    ok: bool
    logs: list[str]
    units: int
    error: str = ""

    @property
    def line(self) -> str:
        """The log line that names the error, or nothing."""
        return next((log for log in self.logs if "Error" in log and "Error Code" in log), "")

    @property
    def kind(self) -> str:
        """The error of the runtime, such as `Custom(1)` or `ProgramFailedToComplete`; nothing for a success."""
        number = re.search(r"Custom\W+(\d+)", self.error)
        words = re.findall(r"[A-Z]\w+", self.error)
        return f"Custom({number[1]})" if number else words[-1] if words else ""

    @property
    def name(self) -> str:
        """The named error; otherwise that of the runtime."""
        return self.line.split("Error Code: ")[1].split(".")[0] if self.line else self.kind

    @property
    def origin(self) -> str:
        """The account an error is blamed on."""
        marker = "caused by account: "
        return self.line.split(marker)[1].split(".")[0] if marker in self.line else ""


@dataclass
class World:
    """A chain with the four programs, the NOS mint and the rewards accounts."""

    ids: IdSet = "devnet"
    svm: LiteSVM = field(init=False)
    keys: dict[Pubkey, Keypair] = field(default_factory=dict)
    units: dict[str, int] = field(default_factory=dict)
    """The most compute units each instruction has taken, by "program.instruction"."""
    before: dict[Pubkey, Account | None] | None = None
    """What accounts were before they were put, while somebody wants them back."""

    def __post_init__(self) -> None:
        self.svm = LiteSVM()
        self.programs: dict[str, Pubkey] = {}
        for program in load_programs(self.ids):
            self.programs[program.name] = Pubkey.from_string(program.address)
            self.svm.add_program(self.programs[program.name], program.elf)
        self.mint = MINTS[self.ids]
        self.set_time(START)
        self.put_mint(self.mint)
        self.fees = self.wallet(sol=1000)
        self.reflection = pda([b"reflection"], self.programs["rewards"])
        self.rewards_vault = pda([bytes(self.mint)], self.programs["rewards"])

    # -- setting up ----------------------------------------------------------------------------------------------

    def set_time(self, seconds: int) -> None:
        clock = self.svm.get_clock()
        clock.unix_timestamp = seconds
        self.svm.set_clock(clock)

    def wallet(self, *, sol: int = 10, nos: int | None = None) -> Pubkey:
        """A new key that can sign, with SOL and, if asked, an associated NOS account."""
        key = self.key()
        self.svm.airdrop(key, sol * SOL)
        if nos is not None:
            self.put_tokens(ata(key, self.mint), key, nos)
        return key

    def key(self, pair: Keypair | None = None) -> Pubkey:
        pair = pair or Keypair()
        self.keys[pair.pubkey()] = pair
        return pair.pubkey()

    def put(self, address: Pubkey, owner: Pubkey, data: bytes, lamports: int | None = None) -> Pubkey:
        rent = self.svm.minimum_balance_for_rent_exemption(len(data))
        if self.before is not None:
            self.before.setdefault(address, self.account(address))
        self.svm.set_account(address, Account(rent if lamports is None else lamports, data, owner))
        return address

    def put_mint(self, address: Pubkey, supply: int = 10**15) -> Pubkey:
        data = bytes(36) + struct.pack("<QBB", supply, 6, 1) + bytes(36)
        return self.put(address, TOKEN, data)

    def put_tokens(self, address: Pubkey, owner: Pubkey, amount: int, mint: Pubkey | None = None) -> Pubkey:
        return self.put(address, TOKEN, token_data(mint or self.mint, owner, amount))

    def put_stake(
        self,
        authority: Pubkey,
        *,
        xnos: int = 0,
        amount: int = 0,
        duration: int = 1_209_600,
        unstaked: int = 0,
        address: Pubkey | None = None,
    ) -> Pubkey:
        vault = self.stake_vault(authority)
        data = tag("StakeAccount") + struct.pack(
            "<Q32sQq32sB16s", amount, bytes(authority), duration, unstaked, bytes(vault), 255, u128(xnos)
        )
        return self.put(address or self.stake(authority), self.programs["staking"], data.ljust(120, b"\0"))

    def put_reflection(self, rate: int = 10**24, reflection: int = 0, xnos: int = 0) -> None:
        bump = Pubkey.find_program_address([bytes(self.mint)], self.programs["rewards"])[1]
        values = u128(rate) + u128(reflection) + u128(xnos) + bytes(self.rewards_vault) + bytes([bump])
        self.put(self.reflection, self.programs["rewards"], (tag("ReflectionAccount") + values).ljust(96, b"\0"))
        self.put_tokens(self.rewards_vault, self.rewards_vault, 0)

    def give(self, address: Pubkey, lamports: int) -> None:
        """Adds lamports to a wallet, or makes one of them."""
        self.put(address, SYSTEM, b"", self.lamports(address) + lamports)

    @contextmanager
    def rewinding(self) -> Iterator[None]:
        """Accounts that are put inside are put back in the end. Transactions inside are to fail."""
        self.before, fees = {}, self.fees
        try:
            yield
        finally:
            before, self.before, self.fees = self.before, None, fees
            for address, account in before.items():
                self.svm.set_account(address, account or Account(0, b"", SYSTEM))

    # -- looking -------------------------------------------------------------------------------------------------

    def stake(self, authority: Pubkey) -> Pubkey:
        return pda([b"stake", bytes(self.mint), bytes(authority)], self.programs["staking"])

    def stake_vault(self, authority: Pubkey) -> Pubkey:
        return pda([b"vault", bytes(self.mint), bytes(authority)], self.programs["staking"])

    def market_vault(self, market: Pubkey) -> Pubkey:
        return pda([bytes(market), bytes(self.mint)], self.programs["jobs"])

    def nos(self, owner: Pubkey) -> Pubkey:
        return ata(owner, self.mint)

    def account(self, address: Pubkey) -> Account | None:
        return self.svm.get_account(address)

    def data(self, address: Pubkey) -> bytes:
        account = self.account(address)
        assert account is not None, f"no account at {address}"
        return bytes(account.data)

    def lamports(self, address: Pubkey) -> int:
        return self.svm.get_balance(address) or 0

    def poke(self, address: Pubkey, offset: int, value: bytes) -> None:
        """Overwrites bytes of an account."""
        account = self.account(address)
        assert account is not None
        data = bytearray(account.data)
        data[offset : offset + len(value)] = value
        self.put(address, account.owner, bytes(data), account.lamports)

    def tokens(self, address: Pubkey) -> int:
        return number(self.data(address), 64)

    # -- calling -------------------------------------------------------------------------------------------------

    def instruction(
        self,
        program: str,
        name: str,
        accounts: Mapping[str, Pubkey],
        *args: Argument,
        unsigned: Collection[str] = (),
        readonly: Collection[str] = (),
        keep: int | None = None,
    ) -> Instruction:
        """One instruction. `unsigned` and `readonly` take flags off, `keep` cuts the accounts off after so many."""
        interface = INTERFACES[program][name]
        given = {**self.constants(), **accounts}
        metas = [
            AccountMeta(
                given[account],
                "S" in flags and account not in unsigned,
                "W" in flags and account not in readonly,
            )
            for account, flags in interface["accounts"][:keep]
        ]
        kinds = [kind for _, kind in interface["args"]]
        data = b"".join(encode(kind, value) for kind, value in zip(kinds, args, strict=True))
        return Instruction(self.programs[program], bytes.fromhex(interface["discriminator"]) + data, metas)

    def send(self, *instructions: Instruction, payer: Pubkey | None = None) -> Outcome:
        payer = payer or self.fees
        message = Message.new_with_blockhash(list(instructions), payer, self.svm.latest_blockhash())
        signers = message.account_keys[: message.header.num_required_signatures]
        transaction = Transaction([self.keys[key] for key in signers], message, self.svm.latest_blockhash())
        result = self.svm.send_transaction(transaction)
        self.svm.expire_blockhash()
        if isinstance(result, FailedTransactionMetadata):
            meta = result.meta()
            return Outcome(False, meta.logs(), meta.compute_units_consumed(), str(result.err()))
        assert isinstance(result, TransactionMetadata)
        return Outcome(True, result.logs(), result.compute_units_consumed())

    def call(
        self,
        program: str,
        name: str,
        accounts: Mapping[str, Pubkey],
        *args: Argument,
        unsigned: Collection[str] = (),
        readonly: Collection[str] = (),
        payer: Pubkey | None = None,
    ) -> Outcome:
        instruction = self.instruction(program, name, accounts, *args, unsigned=unsigned, readonly=readonly)
        outcome = self.send(instruction, payer=payer)
        if outcome.ok:
            key = f"{program}.{name}"
            self.units[key] = max(self.units.get(key, 0), outcome.units)
        return outcome

    def constants(self) -> dict[str, Pubkey]:
        """Accounts that are the same in every call, unless a call says otherwise."""
        return {
            "system_program": SYSTEM,
            "token_program": TOKEN,
            "rewards_program": self.programs["rewards"],
            "rent": RENT,
            "mint": self.mint,
            "access_key": SYSTEM,
            "metadata": SYSTEM,
            "rewards_reflection": self.reflection,
            "rewards_vault": self.rewards_vault,
        }
