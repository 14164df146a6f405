use common::{
    account::require_distinct,
    error::VAULT_NOT_EMPTY,
    math, now,
    staking::Stake,
    token::{TokenAccount, Vault},
    Args, Loader, ProgramResult,
};

use crate::{
    error::{LOCKED, NOT_UNSTAKED},
    state::{is_unstaked, require_holder, require_vault, VaultKey},
};

/// Closes a stake whose vault was emptied. `user` has no part in it, but clients send it.
#[inline(never)]
pub fn run(mut accounts: Loader, _args: Args) -> ProgramResult {
    let user = accounts.state::<TokenAccount>("user")?;
    let stake = accounts.state::<Stake>("stake")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let authority = accounts.signer("authority")?;
    accounts.token_program()?;

    require_distinct(&[*user, *stake, *vault])?;

    user.writable()?;
    stake.writable()?;
    require_vault(&stake, &vault)?;
    require_holder(&stake, &authority)?;
    stake.require(is_unstaked(&stake), &NOT_UNSTAKED)?;
    let duration = i64::try_from(stake.get(Stake::DURATION)).unwrap_or(i64::MAX);
    let free_at = math::add_time(stake.get(Stake::TIME_UNSTAKE), duration);
    stake.require(free_at < now()?, &LOCKED)?;
    stake.closes_to(&authority)?;
    vault.writable()?;
    vault.require(vault.get(TokenAccount::AMOUNT) == 0, &VAULT_NOT_EMPTY)?;
    authority.writable()?;

    let key = VaultKey::of(&stake);
    let vault = Vault {
        account: &vault,
        seeds: &key.seeds(),
    };
    vault.close(&authority)?;
    stake.close(&authority)
}
