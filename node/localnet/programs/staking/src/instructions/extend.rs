use common::{
    ensure, math,
    staking::{Stake, ALREADY_UNSTAKED},
    Args, Loader, ProgramResult,
};

use crate::{
    error::{DURATION_TOO_LONG, DURATION_TOO_SHORT},
    state::{is_unstaked, require_holder},
    weight::{weigh, LONGEST},
};

/// Adds seconds to the duration.
#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let seconds: u64 = args.take()?;

    let stake = accounts.state::<Stake>("stake")?;
    let authority = accounts.signer("authority")?;

    stake.writable()?;
    require_holder(&stake, &authority)?;
    stake.require(!is_unstaked(&stake), &ALREADY_UNSTAKED)?;

    ensure!(seconds > 0, DURATION_TOO_SHORT);
    let duration = math::add(stake.get(Stake::DURATION), seconds);
    ensure!(duration <= LONGEST, DURATION_TOO_LONG);
    stake.set(Stake::DURATION, duration);
    weigh(&stake);
    Ok(())
}
