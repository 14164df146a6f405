//! The money and the times of a job.

use common::{math, now, token::Vault, Account, Loaded, Outcome, ProgramResult};

use crate::state::{Job, Market, Run, VaultKey, DONE};

/// What `seconds` of the job cost, in 1e-6 NOS.
pub fn cost(price: u64, seconds: i64) -> u64 {
    // At price 0 a timeout below 0 is accepted; it must not abort a recovery.
    if price == 0 {
        return 0;
    }
    math::mul(price, math::unsigned(seconds))
}

/// Marks the job done by the run's node, from the start of the run to now.
pub fn conclude(job: &Loaded<Job>, run: &Loaded<Run>) -> Outcome<()> {
    job.set(Job::STATE, DONE);
    job.set(Job::NODE, run.get(Run::NODE));
    job.set(Job::TIME_START, run.get(Run::TIME));
    job.set(Job::TIME_END, now()?);
    Ok(())
}

/// Where the money of a concluded job lies and goes to.
pub struct Payment<'a> {
    pub vault: &'a Account<'a>,
    pub node: &'a Account<'a>,
    pub poster: &'a Account<'a>,
}

impl Payment<'_> {
    /// Pays the node for the time the job took, at most its timeout, and gives the rest
    /// of the deposit back to the poster.
    pub fn perform(&self, job: &Loaded<Job>, market: &Loaded<Market>) -> ProgramResult {
        let price = job.get(Job::PRICE);
        if price == 0 {
            return Ok(());
        }
        let timeout = job.get(Job::TIMEOUT);
        let taken = math::span(job.get(Job::TIME_START), job.get(Job::TIME_END));
        let earned = cost(price, taken.min(timeout));
        let left = math::sub(cost(price, timeout), earned);
        let key = VaultKey::of(market);
        let vault = Vault {
            account: self.vault,
            seeds: &key.seeds(),
        };
        vault.withdraw(self.node, earned)?;
        vault.withdraw(self.poster, left)
    }
}

/// Gives the whole deposit of a job that nobody was paid for to `target`.
pub fn refund(
    job: &Loaded<Job>,
    market: &Loaded<Market>,
    vault: &Account,
    target: &Account,
) -> ProgramResult {
    let amount = cost(job.get(Job::PRICE), job.get(Job::TIMEOUT));
    let key = VaultKey::of(market);
    let vault = Vault {
        account: vault,
        seeds: &key.seeds(),
    };
    vault.withdraw(target, amount)
}
