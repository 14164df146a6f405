use common::{staking::Stake, token::TokenAccount, Args, Loader, ProgramResult};

use crate::{
    error::ALREADY_STAKED,
    state::{is_unstaked, require_holder, require_vault},
    weight::weigh,
};

/// Stakes again what is left in the vault.
#[inline(never)]
pub fn run(mut accounts: Loader, _args: Args) -> ProgramResult {
    let vault = accounts.state::<TokenAccount>("vault")?;
    let stake = accounts.state::<Stake>("stake")?;
    let authority = accounts.signer("authority")?;

    vault.writable()?;
    stake.writable()?;
    require_vault(&stake, &vault)?;
    require_holder(&stake, &authority)?;
    stake.require(is_unstaked(&stake), &ALREADY_STAKED)?;

    stake.set(Stake::AMOUNT, vault.get(TokenAccount::AMOUNT));
    stake.set(Stake::TIME_UNSTAKE, 0);
    weigh(&stake);
    Ok(())
}
