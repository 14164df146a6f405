use common::{Args, Loader, ProgramResult};

use super::run_slot;
use crate::{
    access::Credentials,
    error::ALREADY_QUEUED,
    queue::{Queue, OF_JOBS, OF_NODES},
    state::{Market, TYPE_UNKNOWN},
};

/// A node offers itself: it gets the first waiting job at once, otherwise it waits.
#[inline(never)]
pub fn run(mut accounts: Loader, _args: Args) -> ProgramResult {
    let run = accounts.unchecked("run")?;
    let market = accounts.state::<Market>("market")?;
    let payer = accounts.signer("payer")?;
    let credentials = Credentials::load(&mut accounts)?;
    let authority = accounts.signer("authority")?;
    accounts.system_program()?;

    let queue = Queue::of(&market);
    let jobs_wait = queue.holds(OF_JOBS);
    run_slot::check(&run)?;
    market.writable()?;
    let waits_already = !jobs_wait && queue.position(authority.key()).is_some();
    market.require(!waits_already, &ALREADY_QUEUED)?;
    payer.writable()?;
    credentials.check(&market, &authority)?;

    if jobs_wait {
        return run_slot::fill(&run, queue.pop(), *authority.key(), &payer);
    }
    if market.get(Market::JOB_TYPE) != TYPE_UNKNOWN {
        queue.push(authority.key(), OF_NODES)?;
    }
    Ok(())
}
