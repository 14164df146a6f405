//! The account that `list` and `work` are given for a run. It is checked whether or not
//! a run comes about, and unlike in `assign` and `claim` it must not hold lamports.

use common::{
    cluster::SYSTEM,
    creation::create_empty,
    error::{INVALID_OWNER, LAMPORTS_NON_NULL, MISSING_SIGNATURE},
    Account, Address, Outcome, ProgramResult,
};

use crate::state::{start_run, Run};

pub fn check(run: &Account) -> ProgramResult {
    run.writable()?;
    run.require(run.view.is_signer(), &MISSING_SIGNATURE)?;
    run.require(run.view.lamports() == 0, &LAMPORTS_NON_NULL)?;
    run.require_owner(&SYSTEM, &INVALID_OWNER)
}

pub fn fill(run: &Account, job: Address, node: Address, payer: &Account) -> Outcome<()> {
    let run = create_empty::<Run>(*run, payer)?;
    start_run(&run, job, node, payer)
}
