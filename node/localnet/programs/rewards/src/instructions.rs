use common::{
    account::require_distinct,
    cluster::{NOS, REWARDS},
    creation::create,
    error::{INVALID_MINT, INVALID_VAULT, UNAUTHORIZED},
    math,
    rewards::{Reflection, Reward, REFLECTION_SEED, REWARD_SEED},
    staking::{Stake, ALREADY_UNSTAKED, DECREASED},
    token::{self, Mint, TokenAccount, Vault},
    Args, Loaded, Loader, ProgramResult, Seed,
};

use crate::share::{self, Share};

/// Anybody may call it, once.
#[inline(never)]
pub fn init(mut accounts: Loader, _args: Args) -> ProgramResult {
    let mint = accounts.state::<Mint>("mint")?;
    let pot = accounts.fresh("reflection")?;
    let vault = accounts.fresh("vault")?;
    let authority = accounts.signer("authority")?;
    accounts.system_program()?;
    accounts.token_program()?;
    accounts.rent()?;

    let bump = [pot.require_seeds(&[REFLECTION_SEED], &REWARDS)?];
    let seeds = [Seed::from(REFLECTION_SEED), Seed::from(&bump)];
    let pot = create::<Reflection>(pot, &authority, &seeds)?;
    let mint_key = *mint.key();
    let bump = [vault.require_seeds(&[mint_key.as_ref()], &REWARDS)?];
    let seeds = [Seed::from(mint_key.as_ref()), Seed::from(&bump)];
    token::create_vault(vault, &mint, &authority, &seeds)?;

    mint.require_key(&NOS, &INVALID_MINT)?;
    authority.writable()?;

    pot.set(Reflection::RATE, share::FIRST_RATE);
    pot.set(Reflection::VAULT, *vault.key());
    pot.set(Reflection::VAULT_BUMP, bump[0]);
    Ok(())
}

/// A holder begins to take part.
#[inline(never)]
pub fn enter(mut accounts: Loader, _args: Args) -> ProgramResult {
    let pot = accounts.state::<Reflection>("reflection")?;
    let stake = accounts.state::<Stake>("stake")?;
    let reward = accounts.fresh("reward")?;
    let authority = accounts.signer("authority")?;
    accounts.system_program()?;

    let holder = *authority.key();
    let bump = [reward.require_seeds(&[REWARD_SEED, holder.as_ref()], &REWARDS)?];
    let seeds = [
        Seed::from(REWARD_SEED),
        Seed::from(holder.as_ref()),
        Seed::from(&bump),
    ];
    let reward = create::<Reward>(reward, &authority, &seeds)?;

    pot.writable()?;
    stake.has_one(Stake::AUTHORITY, &authority, &UNAUTHORIZED)?;
    stake.require(is_staked(&stake), &ALREADY_UNSTAKED)?;
    authority.writable()?;

    reward.set(Reward::AUTHORITY, holder);
    reward.set(Reward::BUMP, bump[0]);
    let xnos = stake.get(Stake::XNOS);
    let reflection = share::reflection_of(&pot, xnos);
    share::enter(&pot, &reward, &Share { reflection, xnos });
    Ok(())
}

/// Spreads `amount` over everybody who takes part.
#[inline(never)]
pub fn add_fee(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let amount: u64 = args.take()?;

    let user = accounts.state::<TokenAccount>("user")?;
    let pot = accounts.state::<Reflection>("reflection")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let authority = accounts.signer("authority")?;
    accounts.token_program()?;

    require_distinct(&[*user, *pot, *vault])?;

    user.writable()?;
    pot.writable()?;
    pot.has_one(Reflection::VAULT, &vault, &INVALID_VAULT)?;
    vault.writable()?;

    let xnos = math::add_wide(pot.get(Reflection::TOTAL_XNOS), amount as u128);
    let rate = math::div_wide(pot.get(Reflection::TOTAL_REFLECTION), xnos);
    pot.set(Reflection::TOTAL_XNOS, xnos);
    pot.set(Reflection::RATE, rate);
    token::deposit(&user, &vault, &authority, amount)
}

/// Pays what a holder has earned and counts the stake in anew.
#[inline(never)]
pub fn claim(mut accounts: Loader, _args: Args) -> ProgramResult {
    let user = accounts.state::<TokenAccount>("user")?;
    let vault = accounts.state::<TokenAccount>("vault")?;
    let pot = accounts.state::<Reflection>("reflection")?;
    let reward = accounts.state::<Reward>("reward")?;
    let stake = accounts.state::<Stake>("stake")?;
    let authority = accounts.signer("authority")?;
    accounts.token_program()?;

    require_distinct(&[*user, *vault, *pot, *reward])?;

    user.writable()?;
    vault.writable()?;
    pot.writable()?;
    pot.has_one(Reflection::VAULT, &vault, &INVALID_VAULT)?;
    reward.writable()?;
    reward.has_one(Reward::AUTHORITY, &authority, &UNAUTHORIZED)?;
    stake.has_one(Stake::AUTHORITY, &authority, &UNAUTHORIZED)?;
    stake.require(is_staked(&stake), &ALREADY_UNSTAKED)?;
    let xnos = stake.get(Stake::XNOS);
    stake.require(xnos >= reward.get(Reward::XNOS), &DECREASED)?;
    authority.writable()?;

    let earned = share::earned(&pot, &reward);
    if earned == 0 {
        return Ok(());
    }
    let held = math::add_wide(reward.get(Reward::XNOS), earned);
    share::leave(&pot, &reward, held);
    let reflection = share::reflection_of(&pot, xnos);
    share::enter(&pot, &reward, &Share { reflection, xnos });
    let bump = [pot.get(Reflection::VAULT_BUMP)];
    let vault = Vault {
        account: &vault,
        seeds: &[Seed::from(NOS.as_array()), Seed::from(&bump)],
    };
    vault.withdraw(&user, math::narrow(earned))
}

/// Takes over a stake that has changed, keeping what was earned. Anybody may call it.
#[inline(never)]
pub fn sync(mut accounts: Loader, _args: Args) -> ProgramResult {
    let reward = accounts.state::<Reward>("reward")?;
    let stake = accounts.state::<Stake>("stake")?;
    let pot = accounts.state::<Reflection>("reflection")?;

    reward.writable()?;
    stake.require(is_staked(&stake), &ALREADY_UNSTAKED)?;
    let same = stake.get(Stake::AUTHORITY) == reward.get(Reward::AUTHORITY);
    stake.require(same, &UNAUTHORIZED)?;
    pot.writable()?;

    let xnos = stake.get(Stake::XNOS);
    let earned = share::earned(&pot, &reward);
    share::leave(&pot, &reward, reward.get(Reward::XNOS));
    let reflection = share::reflection_of(&pot, math::add_wide(xnos, earned));
    share::enter(&pot, &reward, &Share { reflection, xnos });
    Ok(())
}

/// A holder stops taking part. What was earned and not claimed is lost.
#[inline(never)]
pub fn close(mut accounts: Loader, _args: Args) -> ProgramResult {
    let pot = accounts.state::<Reflection>("reflection")?;
    let reward = accounts.state::<Reward>("reward")?;
    let authority = accounts.signer("authority")?;

    pot.writable()?;
    reward.writable()?;
    reward.has_one(Reward::AUTHORITY, &authority, &UNAUTHORIZED)?;
    reward.closes_to(&authority)?;
    authority.writable()?;

    share::leave(&pot, &reward, reward.get(Reward::XNOS));
    reward.close(&authority)
}

fn is_staked(stake: &Loaded<Stake>) -> bool {
    stake.get(Stake::TIME_UNSTAKE) == 0
}
