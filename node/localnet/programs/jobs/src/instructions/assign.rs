use common::{
    account::require_distinct, cluster::REWARDS, creation::create, error::INVALID_VAULT,
    layout::Hash, token::TokenAccount, Args, Loader, ProgramResult,
};

use super::posting::{Deposit, FeeAccounts, Order};
use crate::{
    error::{MARKET_IN_WRONG_STATE, NOT_IN_QUEUE},
    queue::{Queue, OF_NODES},
    state::{start_run, Job, Market, Run},
};

/// Posts a job for one waiting node, whatever its place in the queue.
#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let definition: Hash = args.take()?;
    let timeout: i64 = args.take()?;

    let job = accounts.fresh("job")?;
    let market = accounts.state::<Market>("market")?;
    let run = accounts.fresh("run")?;
    let node = accounts.unchecked("node")?;
    let user = accounts.state::<TokenAccount>("user")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let payer = accounts.signer("payer")?;
    let fee = FeeAccounts::load(&mut accounts)?;
    let authority = accounts.signer("authority")?;
    accounts.program("rewards_program", &REWARDS)?;
    accounts.token_program()?;
    accounts.system_program()?;

    let job = create::<Job>(job, &payer, &[])?;
    let run = create::<Run>(run, &payer, &[])?;
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
    let queue = Queue::of(&market);
    market.writable()?;
    market.has_one(Market::VAULT, &vault, &INVALID_VAULT)?;
    market.require(queue.holds(OF_NODES), &MARKET_IN_WRONG_STATE)?;
    deposit.check(price)?;
    payer.writable()?;
    fee.writable()?;

    let place = queue.position(node.key());
    queue.remove(place.ok_or_else(|| NOT_IN_QUEUE.occurred())?);
    order.fill(&job, &market);
    start_run(&run, *job.key(), *node.key(), &payer)?;
    deposit.perform(price, timeout)
}
