use common::{
    account::require_distinct,
    error::VAULT_EMPTY,
    math, now,
    staking::Stake,
    token::{TokenAccount, Vault},
    Args, Loader, ProgramResult,
};

use crate::{
    error::NOT_UNSTAKED,
    state::{is_unstaked, require_holder, require_vault, VaultKey},
    weight::released,
};

/// Takes out what has become free since the unstaking.
#[inline(never)]
pub fn run(mut accounts: Loader, _args: Args) -> ProgramResult {
    let user = accounts.state::<TokenAccount>("user")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let stake = accounts.state::<Stake>("stake")?;
    let authority = accounts.signer("authority")?;
    accounts.token_program()?;

    require_distinct(&[*user, *vault, *stake])?;

    let balance = vault.get(TokenAccount::AMOUNT);
    user.writable()?;
    vault.writable()?;
    vault.require(balance != 0, &VAULT_EMPTY)?;
    stake.writable()?;
    require_vault(&stake, &vault)?;
    require_holder(&stake, &authority)?;
    stake.require(is_unstaked(&stake), &NOT_UNSTAKED)?;
    authority.writable()?;

    let elapsed = math::unsigned(math::span(stake.get(Stake::TIME_UNSTAKE), now()?));
    let (amount, duration) = (stake.get(Stake::AMOUNT), stake.get(Stake::DURATION));
    let free = released(amount, balance, duration, elapsed);
    if free == 0 {
        return Ok(());
    }
    let key = VaultKey::of(&stake);
    let vault = Vault {
        account: &vault,
        seeds: &key.seeds(),
    };
    vault.withdraw(&user, free)
}
