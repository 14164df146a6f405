//! What `list`, `assign` and `extend` share: the payment for a job.

use common::{
    error::{Rule, INVALID_ATA},
    layout::Hash,
    rewards::Reflection,
    token::{self, TokenAccount},
    Account, Address, Loaded, Loader, Outcome, ProgramResult,
};

use crate::{
    settlement::cost,
    state::{Job, Market},
};

/// Accounts of the network fee. No fee is taken at present, but clients send them and
/// they are checked.
pub struct FeeAccounts<'a> {
    pub reflection: Loaded<'a, Reflection>,
    pub vault: Loaded<'a, TokenAccount>,
}

impl<'a> FeeAccounts<'a> {
    pub fn load(accounts: &mut Loader<'a>) -> Outcome<Self> {
        Ok(Self {
            reflection: accounts.state("rewards_reflection")?,
            vault: accounts.state("rewards_vault")?,
        })
    }

    pub fn writable(&self) -> ProgramResult {
        self.reflection.writable()?;
        self.vault.writable()
    }
}

/// `account` must be the NOS account of `owner`, where money moves at all.
pub fn require_nos_account(
    account: &Account,
    owner: &Address,
    price: u64,
    rule: &Rule,
) -> ProgramResult {
    if price == 0 {
        return Ok(());
    }
    let holds = *account.key() == token::nos_account(owner);
    account.require(holds, rule)
}

/// The way of a poster's money into the market's vault, signed for by the payer.
pub struct Deposit<'a> {
    pub user: &'a Account<'a>,
    pub vault: &'a Account<'a>,
    pub payer: &'a Account<'a>,
}

impl Deposit<'_> {
    /// The money must come from the payer's own NOS account.
    pub fn check(&self, price: u64) -> ProgramResult {
        self.user.writable()?;
        require_nos_account(self.user, self.payer.key(), price, &INVALID_ATA)?;
        self.vault.writable()
    }

    /// Moves the price of `seconds`.
    pub fn perform(&self, price: u64, seconds: i64) -> ProgramResult {
        if price == 0 {
            return Ok(());
        }
        token::deposit(self.user, self.vault, self.payer, cost(price, seconds))
    }
}

/// What a poster asks for.
pub struct Order<'a> {
    pub payer: &'a Account<'a>,
    pub project: &'a Account<'a>,
    pub definition: Hash,
    pub timeout: i64,
}

impl Order<'_> {
    /// Fills a job that was just created, at the market's price.
    pub fn fill(&self, job: &Loaded<Job>, market: &Loaded<Market>) {
        job.set(Job::IPFS_JOB, self.definition);
        job.set(Job::MARKET, *market.key());
        job.set(Job::PAYER, *self.payer.key());
        job.set(Job::PRICE, market.get(Market::JOB_PRICE));
        job.set(Job::PROJECT, *self.project.key());
        job.set(Job::TIMEOUT, self.timeout);
    }
}
