use common::{
    cluster::{JOBS, NOS},
    creation::create,
    error::INVALID_MINT,
    token::{self, Mint},
    Args, Loader, ProgramResult, Seed,
};

use crate::{
    queue::EMPTY,
    state::{Market, TYPE_GPU, TYPE_UNKNOWN},
};

/// Creates a market with an empty queue, and its vault.
#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let expiration: i64 = args.take()?;
    let price: u64 = args.take()?;
    let timeout: i64 = args.take()?;
    let job_type: u8 = args.take()?;
    let xnos_minimum: u128 = args.take()?;

    let mint = accounts.state::<Mint>("mint")?;
    let market = accounts.fresh("market")?;
    let vault = accounts.fresh("vault")?;
    let authority = accounts.signer("authority")?;
    let access_key = accounts.unchecked("access_key")?;
    accounts.rent()?;
    accounts.system_program()?;
    accounts.token_program()?;

    let market = create::<Market>(market, &authority, &[])?;
    let (market_key, mint_key) = (*market.key(), *mint.key());
    let bump = [vault.require_seeds(&[market_key.as_ref(), mint_key.as_ref()], &JOBS)?];
    let seeds = [
        Seed::from(market_key.as_ref()),
        Seed::from(mint_key.as_ref()),
        Seed::from(&bump),
    ];
    token::create_vault(vault, &mint, &authority, &seeds)?;

    mint.require_key(&NOS, &INVALID_MINT)?;
    authority.writable()?;

    let known = job_type <= TYPE_GPU;
    market.set(Market::AUTHORITY, *authority.key());
    market.set(Market::JOB_EXPIRATION, expiration);
    market.set(Market::JOB_PRICE, price);
    market.set(Market::JOB_TIMEOUT, timeout);
    market.set(
        Market::JOB_TYPE,
        if known { job_type } else { TYPE_UNKNOWN },
    );
    market.set(Market::VAULT, *vault.key());
    market.set(Market::VAULT_BUMP, bump[0]);
    market.set(Market::ACCESS_KEY, *access_key.key());
    market.set(Market::XNOS_MINIMUM, xnos_minimum);
    market.set(Market::QUEUE_TYPE, EMPTY);
    Ok(())
}
