use common::{error::UNAUTHORIZED, Args, Loader, ProgramResult};

use crate::{
    error::{MARKET_IN_WRONG_STATE, NOT_IN_QUEUE},
    queue::{Queue, OF_NODES},
    state::Market,
};

/// A node leaves the queue, or the market's owner removes it.
#[inline(never)]
pub fn run(mut accounts: Loader, _args: Args) -> ProgramResult {
    let market = accounts.state::<Market>("market")?;
    let node = accounts.unchecked("node")?;
    let authority = accounts.signer("authority")?;

    let queue = Queue::of(&market);
    market.writable()?;
    market.require(queue.holds(OF_NODES), &MARKET_IN_WRONG_STATE)?;
    let allowed =
        authority.key() == node.key() || *authority.key() == market.get(Market::AUTHORITY);
    authority.require(allowed, &UNAUTHORIZED)?;

    let place = queue.position(node.key());
    queue.remove(place.ok_or_else(|| NOT_IN_QUEUE.occurred())?);
    Ok(())
}
