use common::{
    account::require_distinct,
    cluster::STAKING,
    ensure,
    error::INVALID_TOKEN_ACCOUNT,
    math,
    staking::Stake,
    token::{TokenAccount, Vault},
    Args, Loader, ProgramResult,
};

use crate::{
    error::AMOUNT_NOT_ENOUGH,
    state::{is_unstaked, require_governor, require_vault, Settings, VaultKey, SETTINGS_SEED},
    weight::weigh,
};

/// Takes tokens out of a stake, also out of one that is already unstaked.
#[inline(never)]
pub fn run(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let amount: u64 = args.take()?;

    let vault = accounts.state::<TokenAccount>("vault")?;
    let stake = accounts.state::<Stake>("stake")?;
    let token_account = accounts.state::<TokenAccount>("token_account")?;
    let settings = accounts.state::<Settings>("settings")?;
    let authority = accounts.signer("authority")?;
    accounts.token_program()?;

    require_distinct(&[*vault, *stake, *token_account])?;

    vault.writable()?;
    stake.writable()?;
    require_vault(&stake, &vault)?;
    token_account.writable()?;
    let target = settings.get(Settings::TOKEN_ACCOUNT);
    token_account.require_key(&target, &INVALID_TOKEN_ACCOUNT)?;
    settings.require_seeds(&[SETTINGS_SEED], &STAKING)?;
    require_governor(&settings, &authority)?;

    let staked = stake.get(Stake::AMOUNT);
    ensure!(amount <= staked, AMOUNT_NOT_ENOUGH);
    stake.set(Stake::AMOUNT, math::sub(staked, amount));
    if is_unstaked(&stake) {
        stake.set(Stake::XNOS, 0);
    } else {
        weigh(&stake);
    }
    let key = VaultKey::of(&stake);
    let vault = Vault {
        account: &vault,
        seeds: &key.seeds(),
    };
    vault.withdraw(&token_account, amount)
}
