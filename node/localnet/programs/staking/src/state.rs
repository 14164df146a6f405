//! The accounts of the program. The stake itself, which others read too, is in
//! `common::staking`.

use common::{
    cluster::{LOCAL_NETWORK_AUTHORITY, NETWORK_AUTHORITY, NOS, STAKING},
    error::{INVALID_VAULT, UNAUTHORIZED},
    staking::Stake,
    state, Account, Address, Loaded, ProgramResult, Seed,
};

pub const SETTINGS_SEED: &[u8] = b"settings";
pub const STAKE_SEED: &[u8] = b"stake";
pub const VAULT_SEED: &[u8] = b"vault";

state! {
    /// Who may slash, and where the tokens go.
    Settings {
        owner: STAKING,
        discriminator: 0x3f59cb9b4ced733a,
        space: 72,
        fixed: 72,
        AUTHORITY: Address = 8,
        TOKEN_ACCOUNT: Address = 40,
    }
}

/// What a stake's vault signs with: its prefix, the mint, the holder and its bump.
pub struct VaultKey {
    holder: Address,
    bump: [u8; 1],
}

impl VaultKey {
    pub fn of(stake: &Loaded<Stake>) -> Self {
        Self {
            holder: stake.get(Stake::AUTHORITY),
            bump: [stake.get(Stake::VAULT_BUMP)],
        }
    }

    pub fn seeds(&self) -> [Seed<'_>; 4] {
        [
            Seed::from(VAULT_SEED),
            Seed::from(NOS.as_array()),
            Seed::from(self.holder.as_ref()),
            Seed::from(&self.bump),
        ]
    }
}

pub fn require_vault(stake: &Loaded<Stake>, vault: &Account) -> ProgramResult {
    stake.has_one(Stake::VAULT, vault, &INVALID_VAULT)
}

pub fn require_holder(stake: &Loaded<Stake>, authority: &Account) -> ProgramResult {
    stake.has_one(Stake::AUTHORITY, authority, &UNAUTHORIZED)
}

/// The signer must govern the settings. As long as that is the network's own authority,
/// the localnet's key stands in for it.
pub fn require_governor(settings: &Loaded<Settings>, authority: &Account) -> ProgramResult {
    if settings.get(Settings::AUTHORITY) == NETWORK_AUTHORITY
        && *authority.key() == LOCAL_NETWORK_AUTHORITY
    {
        return Ok(());
    }
    settings.has_one(Settings::AUTHORITY, authority, &UNAUTHORIZED)
}

pub fn is_unstaked(stake: &Loaded<Stake>) -> bool {
    stake.get(Stake::TIME_UNSTAKE) != 0
}
