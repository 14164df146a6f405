use common::{
    cluster::{REWARDS, SYSTEM},
    error::INVALID_ACCOUNT,
    now,
    rewards::REWARD_SEED,
    staking::{Stake, ALREADY_UNSTAKED},
    Account, Address, Args, Loader, ProgramResult,
};

use crate::{
    error::HAS_REWARD,
    state::{is_unstaked, require_holder},
};

/// An account that was closed but not yet removed begins with this.
const CLOSED: [u8; 8] = [0xff; 8];

/// Starts the time after which the tokens are free. A reward must be closed before.
#[inline(never)]
pub fn run(mut accounts: Loader, _args: Args) -> ProgramResult {
    let stake = accounts.state::<Stake>("stake")?;
    let reward = accounts.unchecked("reward")?;
    let authority = accounts.signer("authority")?;

    stake.writable()?;
    require_holder(&stake, &authority)?;
    stake.require(!is_unstaked(&stake), &ALREADY_UNSTAKED)?;
    reward.require(is_gone(&reward), &HAS_REWARD)?;
    let seeds = [REWARD_SEED, authority.key().as_ref()];
    let (address, _) = Address::find_program_address(&seeds, &REWARDS);
    reward.require_key(&address, &INVALID_ACCOUNT)?;

    stake.set(Stake::TIME_UNSTAKE, now()?);
    stake.set(Stake::XNOS, 0);
    Ok(())
}

fn is_gone(reward: &Account) -> bool {
    reward.view.owned_by(&SYSTEM) || reward.data().starts_with(&CLOSED)
}
