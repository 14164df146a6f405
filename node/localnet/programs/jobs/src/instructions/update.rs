use common::{error::UNAUTHORIZED, Args, Loader, ProgramResult};

use crate::state::Market;

/// Changes the terms of a market. The type byte is stored as given.
#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let expiration: i64 = args.take()?;
    let price: u64 = args.take()?;
    let job_type: u8 = args.take()?;
    let xnos_minimum: u128 = args.take()?;
    let timeout: i64 = args.take()?;

    let market = accounts.state::<Market>("market")?;
    let access_key = accounts.unchecked("access_key")?;
    let authority = accounts.signer("authority")?;

    market.writable()?;
    market.has_one(Market::AUTHORITY, &authority, &UNAUTHORIZED)?;

    market.set(Market::JOB_EXPIRATION, expiration);
    market.set(Market::JOB_PRICE, price);
    market.set(Market::JOB_TIMEOUT, timeout);
    market.set(Market::JOB_TYPE, job_type);
    market.set(Market::ACCESS_KEY, *access_key.key());
    market.set(Market::XNOS_MINIMUM, xnos_minimum);
    Ok(())
}
