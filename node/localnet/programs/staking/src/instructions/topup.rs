use common::{
    account::require_distinct,
    ensure, math,
    staking::{Stake, ALREADY_UNSTAKED},
    token::{self, TokenAccount},
    Args, Loader, ProgramResult,
};

use crate::{
    error::AMOUNT_NOT_ENOUGH,
    state::{is_unstaked, require_holder, require_vault},
    weight::weigh,
};

#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let amount: u64 = args.take()?;

    let user = accounts.state::<TokenAccount>("user")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let stake = accounts.state::<Stake>("stake")?;
    let authority = accounts.signer("authority")?;
    accounts.token_program()?;

    require_distinct(&[*user, *vault, *stake])?;

    user.writable()?;
    vault.writable()?;
    stake.writable()?;
    require_vault(&stake, &vault)?;
    require_holder(&stake, &authority)?;
    stake.require(!is_unstaked(&stake), &ALREADY_UNSTAKED)?;

    ensure!(amount > 0, AMOUNT_NOT_ENOUGH);
    stake.set(Stake::AMOUNT, math::add(stake.get(Stake::AMOUNT), amount));
    weigh(&stake);
    token::deposit(&user, &vault, &authority, amount)
}
