"""Number and text of every error that the programs raise, as the network publishes them.

Numbers of the shared list and of the programs' own lists overlap: the name identifies an error.
"""

from __future__ import annotations

TEXTS: dict[str, tuple[int, str]] = {
    # Anchor's own.
    "InstructionFallbackNotFound": (101, "Fallback functions are not supported"),
    "InstructionDidNotDeserialize": (102, "The program could not deserialize the given instruction"),
    "EventInstructionStub": (1500, "The program was compiled without `event-cpi` feature"),
    "ConstraintMut": (2000, "A mut constraint was violated"),
    "ConstraintSeeds": (2006, "A seeds constraint was violated"),
    "ConstraintClose": (2011, "A close constraint was violated"),
    "ConstraintTokenMint": (2014, "A token mint constraint was violated"),
    "ConstraintDuplicateMutableAccount": (2040, "A duplicate mutable account constraint was violated"),
    "AccountDiscriminatorNotFound": (3001, "No discriminator was found on the account"),
    "AccountDiscriminatorMismatch": (3002, "Account discriminator did not match what was expected"),
    "AccountDidNotDeserialize": (3003, "Failed to deserialize the account"),
    "AccountDidNotSerialize": (3004, "Failed to serialize the account"),
    "AccountNotEnoughKeys": (3005, "Not enough account keys given to the instruction"),
    "AccountOwnedByWrongProgram": (3007, "The given account is owned by a different program than expected"),
    "InvalidProgramId": (3008, "Program ID was not as expected"),
    "InvalidProgramExecutable": (3009, "Program account is not executable"),
    "AccountNotSigner": (3010, "The given account did not sign"),
    "AccountNotInitialized": (3012, "The program expected this account to be already initialized"),
    "AccountSysvarMismatch": (3015, "The given public key does not match the required sysvar"),
    "DeclaredProgramIdMismatch": (4100, "The declared program id does not match the actual program id"),
    "TryingToInitPayerAsProgramAccount": (
        4101,
        "You cannot/should not initialize the payer account as a program account",
    ),
    # The list that all programs share.
    "Unauthorized": (6000, "This account is not authorized to perform this action."),
    "InvalidOwner": (6001, "This account is owned by an invalid program."),
    "LamportsNonNull": (6002, "This account has lamports."),
    "MissingSignature": (6003, "This account is missing a signature."),
    "InvalidAccount": (6004, "This account is not valid."),
    "InvalidTokenAccount": (6005, "This token account is not valid."),
    "InvalidMint": (6006, "This mint is invalid."),
    "InvalidVault": (6007, "This account has an invalid vault."),
    "InvalidPayer": (6008, "This payer account is not valid."),
    "VaultEmpty": (6009, "This vault is empty."),
    "VaultNotEmpty": (6010, "This vault is not empty."),
    "InvalidATA": (6011, "This Associated Token Account is not valid."),
    # Jobs.
    "InvalidMarketAccount": (6000, "This market account is not valid."),
    "MarketInWrongState": (6001, "This market does not have the right status."),
    "NotInMarketQueue": (6002, "Account cannot be find account in market queue."),
    "InvalidJobAccount": (6003, "This job account is not valid."),
    "JobInWrongState": (6004, "This job does not have the right status."),
    "JobNotExpired": (6005, "The job has not yet expired."),
    "JobResultNull": (6006, "The job result can not be null."),
    "JobTimeoutNotGreater": (6008, "The new job timeout should be larger than the current one."),
    "JobResultsAlreadySet": (6010, "The job results are already set."),
    "NodeNotEnoughStake": (6013, "This node has not staked enough tokens."),
    "NodeAlreadyQueued": (6014, "This node is already present in the queue."),
    "NodeNftWrongOwner": (6016, "This NFT is not owned by this node."),
    "NodeNftInvalidAmount": (6017, "Access NFT amount cannot be 0."),
    "NodeKeyInvalidCollection": (6018, "This access key does not belong to a verified collection."),
    # Staking.
    "AmountNotEnough": (6000, "This amount is not enough."),
    "AlreadyStaked": (6003, "This stake is already staked."),
    "AlreadyUnstaked": (6004, "This stake is already unstaked."),
    "NotUnstaked": (6005, "This stake is not yet unstaked."),
    "Locked": (6006, "This stake is still locked."),
    "DurationTooShort": (6007, "This stake duration is not long enough."),
    "DurationTooLong": (6008, "This stake duration is too long."),
    "Decreased": (6010, "This stake is not allowed to decrease."),
    "HasReward": (6011, "This stake still has a reward account."),
    "InvalidStakeAccount": (6012, "This stake does not belong to the authority."),
    # Nodes.
    "ArchitectureUnknown": (6000, "This architecture does not exist."),
    "CountryCodeUnknown": (6001, "This country does not exist."),
    "CpuInvalid": (6002, "CPU value must be greater than zero"),
    "MemoryInvalid": (6004, "Memory value must be greater than zero"),
    "IopsInvalid": (6005, "IOPS value must be greater than zero"),
    "StorageInvalid": (6006, "Storage value must be greater than zero"),
}

HANDLERS = frozenset(
    {
        "JobResultNull",
        "JobTimeoutNotGreater",
        "DurationTooShort",
        "DurationTooLong",
        "AmountNotEnough",
        "ArchitectureUnknown",
        "CountryCodeUnknown",
        "CpuInvalid",
        "MemoryInvalid",
        "IopsInvalid",
        "StorageInvalid",
    }
)
"""Errors of a handler: they name a place in the source."""

COMPARED = frozenset(
    {
        "AccountOwnedByWrongProgram",
        "ConstraintSeeds",
        "InvalidJobAccount",
        "InvalidMarketAccount",
        "InvalidMint",
        "InvalidOwner",
        "InvalidPayer",
        "InvalidProgramId",
        "InvalidStakeAccount",
        "InvalidAccount",
        "InvalidTokenAccount",
        "InvalidVault",
        "Unauthorized",
    }
)
"""Errors that come with the two keys that were compared: Anchor compares them itself."""

NOT_COMPARED = frozenset(
    {
        ("jobs.delist", "Unauthorized"),
        ("jobs.extend", "Unauthorized"),
        ("jobs.end", "Unauthorized"),
        ("jobs.recover", "Unauthorized"),
        ("jobs.finish", "Unauthorized"),
        ("jobs.finish", "InvalidPayer"),
        ("jobs.complete", "Unauthorized"),
        ("jobs.quit", "Unauthorized"),
        ("jobs.stop", "Unauthorized"),
        ("rewards.sync", "Unauthorized"),
    }
)
"""Instructions in which such an error is a rule on values: the field is not called as the account is."""
