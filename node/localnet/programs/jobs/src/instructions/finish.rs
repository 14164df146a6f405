use common::{
    account::require_distinct,
    cluster::NOS,
    ensure,
    error::{INVALID_ATA, INVALID_PAYER, INVALID_VAULT, UNAUTHORIZED},
    layout::Hash,
    token::TokenAccount,
    Args, Loader, ProgramResult,
};

use super::posting::require_nos_account;
use crate::{
    error::{INVALID_JOB, INVALID_MARKET, RESULT_NULL},
    settlement,
    state::{Job, Market, Run, NO_RESULT},
};

/// The node posts the result of its run and is paid, into any NOS account it names.
#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let result: Hash = args.take()?;

    let job = accounts.state::<Job>("job")?;
    let run = accounts.state::<Run>("run")?;
    let market = accounts.state::<Market>("market")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let deposit = accounts.state::<TokenAccount>("deposit")?;
    let user = accounts.state::<TokenAccount>("user")?;
    let payer_run = accounts.unchecked("payer_run")?;
    let payer_job = accounts.unchecked("payer_job")?;
    let authority = accounts.signer("authority")?;
    accounts.token_program()?;

    // `deposit` may be `user`, and clients pass the vault for it at price 0.
    require_distinct(&[*job, *run, *vault, *user])?;

    let price = job.get(Job::PRICE);
    job.writable()?;
    job.has_one(Job::MARKET, &market, &INVALID_MARKET)?;
    job.matches(Job::PAYER, &payer_job, &INVALID_PAYER)?;
    run.writable()?;
    run.has_one(Run::JOB, &job, &INVALID_JOB)?;
    run.matches(Run::PAYER, &payer_run, &INVALID_PAYER)?;
    run.matches(Run::NODE, &authority, &UNAUTHORIZED)?;
    run.closes_to(&payer_run)?;
    market.has_one(Market::VAULT, &vault, &INVALID_VAULT)?;
    vault.writable()?;
    deposit.writable()?;
    require_nos_account(&deposit, payer_job.key(), price, &INVALID_ATA)?;
    user.writable()?;
    let payable = price == 0 || user.get(TokenAccount::MINT) == NOS;
    user.require(payable, &INVALID_ATA)?;
    payer_run.writable()?;
    payer_job.writable()?;

    ensure!(result != NO_RESULT, RESULT_NULL);
    job.set(Job::IPFS_RESULT, result);
    settlement::conclude(&job, &run)?;
    let payment = settlement::Payment {
        vault: &vault,
        node: &user,
        poster: &deposit,
    };
    payment.perform(&job, &market)?;
    run.close(&payer_run)
}
