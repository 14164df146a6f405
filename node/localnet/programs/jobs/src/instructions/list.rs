use common::{
    account::require_distinct, cluster::REWARDS, creation::create, error::INVALID_VAULT,
    layout::Hash, token::TokenAccount, Args, Loader, ProgramResult,
};

use super::{
    posting::{Deposit, FeeAccounts, Order},
    run_slot,
};
use crate::{
    queue::{Queue, OF_JOBS, OF_NODES},
    state::{Job, Market, TYPE_UNKNOWN},
};

/// Posts a job: the first waiting node gets a run at once, otherwise the job waits.
#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let definition: Hash = args.take()?;
    let timeout: i64 = args.take()?;

    let job = accounts.fresh("job")?;
    let market = accounts.state::<Market>("market")?;
    let run = accounts.unchecked("run")?;
    let user = accounts.state::<TokenAccount>("user")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let payer = accounts.signer("payer")?;
    let fee = FeeAccounts::load(&mut accounts)?;
    let authority = accounts.signer("authority")?;
    accounts.program("rewards_program", &REWARDS)?;
    accounts.token_program()?;
    accounts.system_program()?;

    let job = create::<Job>(job, &payer, &[])?;
    require_distinct(&[*market, *user, *vault, *fee.reflection, *fee.vault])?;

    let order = Order {
        payer: &payer,
        project: &authority,
        definition,
        timeout,
    };
    let deposit = Deposit {
        user: &user,
        vault: &vault,
        payer: &payer,
    };
    let price = market.get(Market::JOB_PRICE);
    market.writable()?;
    market.has_one(Market::VAULT, &vault, &INVALID_VAULT)?;
    run_slot::check(&run)?;
    deposit.check(price)?;
    payer.writable()?;
    fee.writable()?;

    order.fill(&job, &market);
    let queue = Queue::of(&market);
    let matched = queue.holds(OF_NODES);
    if matched {
        run_slot::fill(&run, *job.key(), queue.pop(), &payer)?;
    }
    deposit.perform(price, timeout)?;
    if !matched && market.get(Market::JOB_TYPE) != TYPE_UNKNOWN {
        queue.push(job.key(), OF_JOBS)?;
    }
    Ok(())
}
