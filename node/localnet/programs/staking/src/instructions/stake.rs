use common::{
    cluster::{NOS, STAKING},
    creation::create,
    ensure,
    error::INVALID_MINT,
    staking::Stake,
    token::{self, Mint, TokenAccount},
    Args, Loader, ProgramResult, Seed,
};

use crate::{
    error::{DURATION_TOO_LONG, DURATION_TOO_SHORT},
    state::{STAKE_SEED, VAULT_SEED},
    weight::{weigh, LONGEST, SHORTEST},
};

/// Locks `amount` (which may be 0) for `duration` seconds.
#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let amount: u64 = args.take()?;
    let duration: u128 = args.take()?;

    let mint = accounts.state::<Mint>("mint")?;
    let user = accounts.state::<TokenAccount>("user")?;
    let vault = accounts.fresh("vault")?;
    let stake = accounts.fresh("stake")?;
    let authority = accounts.signer("authority")?;
    accounts.system_program()?;
    accounts.token_program()?;
    accounts.rent()?;

    let (mint_key, holder) = (*mint.key(), *authority.key());
    let vault_path = [VAULT_SEED, mint_key.as_ref(), holder.as_ref()];
    let vault_bump = [vault.require_seeds(&vault_path, &STAKING)?];
    let vault_seeds = [
        Seed::from(VAULT_SEED),
        Seed::from(mint_key.as_ref()),
        Seed::from(holder.as_ref()),
        Seed::from(&vault_bump),
    ];
    token::create_vault(vault, &mint, &authority, &vault_seeds)?;
    let stake_path = [STAKE_SEED, mint_key.as_ref(), holder.as_ref()];
    let stake_bump = [stake.require_seeds(&stake_path, &STAKING)?];
    let stake_seeds = [
        Seed::from(STAKE_SEED),
        Seed::from(mint_key.as_ref()),
        Seed::from(holder.as_ref()),
        Seed::from(&stake_bump),
    ];
    let stake = create::<Stake>(stake, &authority, &stake_seeds)?;

    mint.require_key(&NOS, &INVALID_MINT)?;
    user.writable()?;
    authority.writable()?;

    ensure!(duration >= SHORTEST as u128, DURATION_TOO_SHORT);
    ensure!(duration <= LONGEST as u128, DURATION_TOO_LONG);
    stake.set(Stake::AMOUNT, amount);
    stake.set(Stake::AUTHORITY, holder);
    stake.set(Stake::DURATION, duration as u64);
    stake.set(Stake::VAULT, *vault.key());
    stake.set(Stake::VAULT_BUMP, vault_bump[0]);
    weigh(&stake);
    token::deposit(&user, &vault, &authority, amount)
}
