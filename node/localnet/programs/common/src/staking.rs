//! What the staking program's accounts look like to every program.

use crate::{cluster::STAKING, rules, state, Address};

state! {
    /// Tokens locked by a node or another holder. `XNOS` weighs them by their duration;
    /// `TIME_UNSTAKE` is 0 while they are staked.
    Stake {
        owner: STAKING,
        discriminator: 0x509e437c32bdc0ff,
        space: 120,
        fixed: 113,
        AMOUNT: u64 = 8,
        AUTHORITY: Address = 16,
        DURATION: u64 = 48,
        TIME_UNSTAKE: i64 = 56,
        VAULT: Address = 64,
        VAULT_BUMP: u8 = 96,
        XNOS: u128 = 97,
    }
}

// Errors of the staking program's list that other programs raise as well.
rules! {
    ALREADY_UNSTAKED = 6004 AlreadyUnstaked "This stake is already unstaked.";
    DECREASED = 6010 Decreased "This stake is not allowed to decrease.";
    INVALID_STAKE_ACCOUNT = 6012 InvalidStakeAccount "This stake does not belong to the authority.";
}
