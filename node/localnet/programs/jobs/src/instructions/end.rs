use common::{
    account::require_distinct,
    error::{INVALID_ATA, INVALID_PAYER, INVALID_VAULT, UNAUTHORIZED},
    token::TokenAccount,
    Args, Loader, ProgramResult,
};

use super::posting::require_nos_account;
use crate::{
    error::{INVALID_JOB, INVALID_MARKET},
    settlement,
    state::{Job, Market, Run},
};

/// The poster ends a running job: the node is paid for the time so far.
#[inline(never)]
pub fn run(mut accounts: Loader, _args: Args) -> ProgramResult {
    let job = accounts.state::<Job>("job")?;
    let market = accounts.state::<Market>("market")?;
    let run = accounts.state::<Run>("run")?;
    let deposit = accounts.state::<TokenAccount>("deposit")?;
    let user = accounts.state::<TokenAccount>("user")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let payer = accounts.unchecked("payer")?;
    let authority = accounts.signer("authority")?;
    accounts.token_program()?;

    // `deposit` may be `user`: a poster may run its own job.
    require_distinct(&[*job, *run, *user, *vault])?;

    let price = job.get(Job::PRICE);
    job.writable()?;
    job.has_one(Job::MARKET, &market, &INVALID_MARKET)?;
    job.matches(Job::PROJECT, &authority, &UNAUTHORIZED)?;
    market.has_one(Market::VAULT, &vault, &INVALID_VAULT)?;
    run.writable()?;
    run.has_one(Run::PAYER, &payer, &INVALID_PAYER)?;
    run.has_one(Run::JOB, &job, &INVALID_JOB)?;
    run.closes_to(&payer)?;
    deposit.writable()?;
    require_nos_account(&deposit, &job.get(Job::PAYER), price, &INVALID_ATA)?;
    user.writable()?;
    require_nos_account(&user, &run.get(Run::NODE), price, &INVALID_ATA)?;
    vault.writable()?;
    payer.writable()?;
    authority.writable()?;

    settlement::conclude(&job, &run)?;
    let payment = settlement::Payment {
        vault: &vault,
        node: &user,
        poster: &deposit,
    };
    payment.perform(&job, &market)?;
    run.close(&payer)
}
