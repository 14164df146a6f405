use common::{
    account::require_distinct,
    cluster::require_market_admin,
    error::{INVALID_VAULT, UNAUTHORIZED},
    token::{TokenAccount, Vault},
    Account, Args, Loaded, Loader, Outcome, ProgramResult,
};

use crate::state::{Market, VaultKey};

struct Close<'a> {
    market: Loaded<'a, Market>,
    vault: Loaded<'a, TokenAccount>,
    user: Loaded<'a, TokenAccount>,
    authority: Account<'a>,
}

impl<'a> Close<'a> {
    fn load(accounts: &mut Loader<'a>) -> Outcome<Self> {
        let close = Self {
            market: accounts.state("market")?,
            vault: accounts.state("vault")?,
            user: accounts.state("user")?,
            authority: accounts.signer("authority")?,
        };
        accounts.token_program()?;
        require_distinct(&[*close.market, *close.vault, *close.user])?;
        close.market.writable()?;
        Ok(close)
    }

    /// Checks that both variants make, after the one on the market's authority.
    fn check(&self) -> ProgramResult {
        self.market
            .has_one(Market::VAULT, &self.vault, &INVALID_VAULT)?;
        self.market.closes_to(&self.authority)?;
        self.vault.writable()?;
        self.user.writable()
    }

    fn perform(&self) -> ProgramResult {
        let key = VaultKey::of(&self.market);
        let vault = Vault {
            account: &self.vault,
            seeds: &key.seeds(),
        };
        vault.withdraw(&self.user, self.vault.get(TokenAccount::AMOUNT))?;
        vault.close(&self.authority)?;
        self.market.close(&self.authority)
    }
}

/// Closes a market, whatever is in its queue; its tokens go to `user`.
#[inline(never)]
pub fn by_owner(mut accounts: Loader, _args: Args) -> ProgramResult {
    let close = Close::load(&mut accounts)?;
    close
        .market
        .has_one(Market::AUTHORITY, &close.authority, &UNAUTHORIZED)?;
    close.check()?;
    close.perform()
}

#[inline(never)]
pub fn by_admin(mut accounts: Loader, _args: Args) -> ProgramResult {
    let close = Close::load(&mut accounts)?;
    close.check()?;
    require_market_admin(&close.authority)?;
    close.perform()
}
