use common::{ensure, error::UNAUTHORIZED, layout::Hash, Args, Loader, ProgramResult};

use crate::{
    error::{JOB_IN_WRONG_STATE, RESULT_ALREADY_SET, RESULT_NULL},
    state::{Job, DONE, NO_RESULT},
};

/// The node adds the result to a job that its poster has ended.
#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let result: Hash = args.take()?;

    let job = accounts.state::<Job>("job")?;
    let authority = accounts.signer("authority")?;

    job.writable()?;
    job.require(job.get(Job::STATE) == DONE, &JOB_IN_WRONG_STATE)?;
    job.matches(Job::NODE, &authority, &UNAUTHORIZED)?;
    let open = job.get(Job::IPFS_RESULT) == NO_RESULT;
    job.require(open, &RESULT_ALREADY_SET)?;

    ensure!(result != NO_RESULT, RESULT_NULL);
    job.set(Job::IPFS_RESULT, result);
    Ok(())
}
