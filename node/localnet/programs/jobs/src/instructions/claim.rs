use common::{creation::create, Args, Loader, ProgramResult};

use crate::{
    access::Credentials,
    error::{INVALID_MARKET, JOB_IN_WRONG_STATE},
    state::{start_run, Job, Market, Run, STOPPED},
};

/// A node takes over a job that another has quit. The job itself is not written, so more
/// than one node can claim it.
#[inline(never)]
pub fn run(mut accounts: Loader, _args: Args) -> ProgramResult {
    let job = accounts.state::<Job>("job")?;
    let run = accounts.fresh("run")?;
    let market = accounts.state::<Market>("market")?;
    let credentials = Credentials::load(&mut accounts)?;
    let payer = accounts.signer("payer")?;
    let authority = accounts.signer("authority")?;
    accounts.system_program()?;

    let run = create::<Run>(run, &payer, &[])?;

    job.writable()?;
    job.has_one(Job::MARKET, &market, &INVALID_MARKET)?;
    job.require(job.get(Job::STATE) == STOPPED, &JOB_IN_WRONG_STATE)?;
    credentials.check(&market, &authority)?;
    payer.writable()?;

    start_run(&run, *job.key(), *authority.key(), &payer)
}
