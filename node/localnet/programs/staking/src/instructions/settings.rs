use common::{
    cluster::{NETWORK_AUTHORITY, NOS, SLASH_TARGET, STAKING},
    creation::create,
    error::TOKEN_MINT,
    token::TokenAccount,
    Args, Loader, ProgramResult, Seed,
};

use crate::state::{require_governor, Settings, SETTINGS_SEED};

/// Anybody may call it, once: what is stored is fixed.
#[inline(never)]
pub fn init(mut accounts: Loader, _args: Args) -> ProgramResult {
    let settings = accounts.fresh("settings")?;
    let authority = accounts.signer("authority")?;
    accounts.system_program()?;
    accounts.rent()?;

    let bump = [settings.require_seeds(&[SETTINGS_SEED], &STAKING)?];
    let seeds = [Seed::from(SETTINGS_SEED), Seed::from(&bump)];
    let settings = create::<Settings>(settings, &authority, &seeds)?;
    authority.writable()?;

    settings.set(Settings::AUTHORITY, NETWORK_AUTHORITY);
    settings.set(Settings::TOKEN_ACCOUNT, SLASH_TARGET);
    Ok(())
}

#[inline(never)]
pub fn update(mut accounts: Loader, _args: Args) -> ProgramResult {
    let new_authority = accounts.unchecked("new_authority")?;
    let token_account = accounts.state::<TokenAccount>("token_account")?;
    let settings = accounts.state::<Settings>("settings")?;
    let authority = accounts.signer("authority")?;

    let of_nos = token_account.get(TokenAccount::MINT) == NOS;
    if !of_nos {
        // The one constraint that Anchor raises without naming the account.
        return Err(TOKEN_MINT.occurred());
    }
    settings.require_seeds(&[SETTINGS_SEED], &STAKING)?;
    settings.writable()?;
    require_governor(&settings, &authority)?;

    settings.set(Settings::AUTHORITY, *new_authority.key());
    settings.set(Settings::TOKEN_ACCOUNT, *token_account.key());
    Ok(())
}
