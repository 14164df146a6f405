use common::{
    account::require_distinct,
    cluster::REWARDS,
    ensure,
    error::{INVALID_VAULT, UNAUTHORIZED},
    math,
    token::TokenAccount,
    Args, Loader, ProgramResult,
};

use super::posting::{Deposit, FeeAccounts};
use crate::{
    error::{INVALID_MARKET, JOB_IN_WRONG_STATE, TIMEOUT_NOT_GREATER},
    state::{Job, Market, QUEUED},
};

/// Raises the timeout of a waiting or running job to a new total.
#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let timeout: i64 = args.take()?;

    let job = accounts.state::<Job>("job")?;
    let market = accounts.state::<Market>("market")?;
    let user = accounts.state::<TokenAccount>("user")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let fee = FeeAccounts::load(&mut accounts)?;
    let authority = accounts.signer("authority")?;
    let payer = accounts.signer("payer")?;
    accounts.program("rewards_program", &REWARDS)?;
    accounts.token_program()?;

    require_distinct(&[*job, *user, *vault, *fee.reflection, *fee.vault])?;

    let deposit = Deposit {
        user: &user,
        vault: &vault,
        payer: &payer,
    };
    let price = job.get(Job::PRICE);
    job.writable()?;
    job.has_one(Job::MARKET, &market, &INVALID_MARKET)?;
    job.matches(Job::PROJECT, &authority, &UNAUTHORIZED)?;
    if price > 0 {
        job.matches(Job::PAYER, &payer, &UNAUTHORIZED)?;
    }
    job.require(job.get(Job::STATE) == QUEUED, &JOB_IN_WRONG_STATE)?;
    market.has_one(Market::VAULT, &vault, &INVALID_VAULT)?;
    deposit.check(price)?;
    fee.writable()?;

    let before = job.get(Job::TIMEOUT);
    ensure!(timeout > before, TIMEOUT_NOT_GREATER);
    job.set(Job::TIMEOUT, timeout);
    deposit.perform(price, math::span(before, timeout))
}
