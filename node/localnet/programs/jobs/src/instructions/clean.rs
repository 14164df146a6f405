use common::{
    cluster::require_market_admin, error::INVALID_PAYER, math, now, Args, Loader, ProgramResult,
};

use crate::{
    error::{JOB_IN_WRONG_STATE, JOB_NOT_EXPIRED},
    state::{Job, Market, DONE},
};

/// Closes a job that was done long enough ago. Anybody may, and with the terms of any
/// market: that it is the job's own is not checked.
#[inline(never)]
pub fn when_expired(mut accounts: Loader, _args: Args) -> ProgramResult {
    let job = accounts.state::<Job>("job")?;
    let market = accounts.state::<Market>("market")?;
    let payer = accounts.unchecked("payer")?;

    job.writable()?;
    job.has_one(Job::PAYER, &payer, &INVALID_PAYER)?;
    job.require(job.get(Job::STATE) == DONE, &JOB_IN_WRONG_STATE)?;
    let age = math::span(job.get(Job::TIME_END), now()?);
    let expired = age > market.get(Market::JOB_EXPIRATION);
    job.require(expired, &JOB_NOT_EXPIRED)?;
    job.closes_to(&payer)?;
    payer.writable()?;

    job.close(&payer)
}

#[inline(never)]
pub fn by_admin(mut accounts: Loader, _args: Args) -> ProgramResult {
    let job = accounts.state::<Job>("job")?;
    let payer = accounts.unchecked("payer")?;
    let authority = accounts.signer("authority")?;

    job.writable()?;
    job.has_one(Job::PAYER, &payer, &INVALID_PAYER)?;
    job.closes_to(&payer)?;
    payer.writable()?;
    require_market_admin(&authority)?;

    job.close(&payer)
}
