use common::{
    account::require_distinct,
    error::{INVALID_ATA, INVALID_PAYER, INVALID_VAULT, UNAUTHORIZED},
    token::TokenAccount,
    Args, Loader, ProgramResult,
};

use super::posting::require_nos_account;
use crate::{
    error::{INVALID_MARKET, JOB_IN_WRONG_STATE, MARKET_IN_WRONG_STATE, NOT_IN_QUEUE},
    queue::{Queue, OF_JOBS},
    settlement,
    state::{Job, Market, QUEUED},
};

/// Takes a waiting job back: out of the queue, deposit and rent to its payer.
#[inline(never)]
pub fn run(mut accounts: Loader, _args: Args) -> ProgramResult {
    let job = accounts.state::<Job>("job")?;
    let market = accounts.state::<Market>("market")?;
    let deposit = accounts.state::<TokenAccount>("deposit")?;
    let payer = accounts.unchecked("payer")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    accounts.token_program()?;
    let authority = accounts.signer("authority")?;

    require_distinct(&[*job, *market, *deposit, *vault])?;

    let price = job.get(Job::PRICE);
    let queue = Queue::of(&market);
    job.writable()?;
    job.has_one(Job::PAYER, &payer, &INVALID_PAYER)?;
    job.has_one(Job::MARKET, &market, &INVALID_MARKET)?;
    job.matches(Job::PROJECT, &authority, &UNAUTHORIZED)?;
    job.require(job.get(Job::STATE) == QUEUED, &JOB_IN_WRONG_STATE)?;
    job.closes_to(&payer)?;
    market.writable()?;
    market.has_one(Market::VAULT, &vault, &INVALID_VAULT)?;
    market.require(queue.holds(OF_JOBS), &MARKET_IN_WRONG_STATE)?;
    deposit.writable()?;
    require_nos_account(&deposit, payer.key(), price, &INVALID_ATA)?;
    payer.writable()?;
    vault.writable()?;
    authority.writable()?;

    let place = queue.position(job.key());
    queue.remove(place.ok_or_else(|| NOT_IN_QUEUE.occurred())?);
    if price > 0 {
        settlement::refund(&job, &market, &vault, &deposit)?;
    }
    job.close(&payer)
}
