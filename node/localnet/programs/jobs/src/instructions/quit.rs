use common::{
    cluster::require_market_admin,
    error::{INVALID_PAYER, UNAUTHORIZED},
    Args, Loader, ProgramResult,
};

use crate::{
    error::INVALID_JOB,
    state::{Job, Run, STOPPED},
};

/// A node gives its job up, unpaid; others may claim it.
#[inline(never)]
pub fn by_node(mut accounts: Loader, _args: Args) -> ProgramResult {
    let job = accounts.state::<Job>("job")?;
    let run = accounts.state::<Run>("run")?;
    let payer = accounts.unchecked("payer")?;
    let authority = accounts.signer("authority")?;

    job.writable()?;
    run.writable()?;
    run.has_one(Run::JOB, &job, &INVALID_JOB)?;
    run.has_one(Run::PAYER, &payer, &INVALID_PAYER)?;
    run.matches(Run::NODE, &authority, &UNAUTHORIZED)?;
    run.closes_to(&payer)?;
    payer.writable()?;

    job.set(Job::STATE, STOPPED);
    run.close(&payer)
}

/// Removes a run; its job is left as it is.
#[inline(never)]
pub fn by_admin(mut accounts: Loader, _args: Args) -> ProgramResult {
    let run = accounts.state::<Run>("run")?;
    let payer = accounts.unchecked("payer")?;
    let authority = accounts.signer("authority")?;

    run.writable()?;
    run.has_one(Run::PAYER, &payer, &INVALID_PAYER)?;
    run.closes_to(&payer)?;
    payer.writable()?;
    require_market_admin(&authority)?;

    run.close(&payer)
}
