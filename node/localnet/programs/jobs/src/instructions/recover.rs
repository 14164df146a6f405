use common::{
    account::require_distinct,
    error::{INVALID_PAYER, INVALID_VAULT, UNAUTHORIZED},
    token::TokenAccount,
    Args, Loader, ProgramResult,
};

use crate::{
    error::{INVALID_MARKET, JOB_IN_WRONG_STATE},
    settlement,
    state::{Job, Market, STOPPED},
};

/// Takes the deposit of a job back that its node has quit. A transfer is made at any
/// price, of nothing where the price is 0.
#[inline(never)]
pub fn run(mut accounts: Loader, _args: Args) -> ProgramResult {
    let job = accounts.state::<Job>("job")?;
    let market = accounts.state::<Market>("market")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let user = accounts.state::<TokenAccount>("user")?;
    let payer = accounts.unchecked("payer")?;
    let authority = accounts.signer("authority")?;
    accounts.token_program()?;

    require_distinct(&[*job, *vault, *user])?;

    job.writable()?;
    job.has_one(Job::PAYER, &payer, &INVALID_PAYER)?;
    job.has_one(Job::MARKET, &market, &INVALID_MARKET)?;
    job.matches(Job::PROJECT, &authority, &UNAUTHORIZED)?;
    job.require(job.get(Job::STATE) == STOPPED, &JOB_IN_WRONG_STATE)?;
    job.closes_to(&payer)?;
    market.has_one(Market::VAULT, &vault, &INVALID_VAULT)?;
    vault.writable()?;
    user.writable()?;
    payer.writable()?;

    settlement::refund(&job, &market, &vault, &user)?;
    job.close(&payer)
}
