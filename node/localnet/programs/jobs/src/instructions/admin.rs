use common::{cluster::MARKET_ADMIN, error::UNAUTHORIZED, Account, ProgramResult};

/// The signer must be the administrator of all markets.
pub fn require(authority: &Account) -> ProgramResult {
    authority.require_key(&MARKET_ADMIN, &UNAUTHORIZED)
}
