//! What the rewards program's accounts look like to every program.

use crate::{cluster::REWARDS, state, Address};

/// Seeds of the one reflection account, and of a holder's reward account.
pub const REFLECTION_SEED: &[u8] = b"reflection";
pub const REWARD_SEED: &[u8] = b"reward";

state! {
    /// The pot that fees are spread from, in proportion to xNOS.
    Reflection {
        owner: REWARDS,
        discriminator: 0xcd99a036ef1adbbc,
        space: 96,
        fixed: 89,
        RATE: u128 = 8,
        TOTAL_REFLECTION: u128 = 24,
        TOTAL_XNOS: u128 = 40,
        VAULT: Address = 56,
        VAULT_BUMP: u8 = 88,
    }
}

state! {
    /// A holder's share of the pot.
    Reward {
        owner: REWARDS,
        discriminator: 0xe1511ffd54eaab81,
        space: 80,
        fixed: 73,
        AUTHORITY: Address = 8,
        BUMP: u8 = 40,
        REFLECTION: u128 = 41,
        XNOS: u128 = 57,
    }
}
