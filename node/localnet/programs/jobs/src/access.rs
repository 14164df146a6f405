//! What a node must show before it may work on a market: a stake, and where the market
//! asks for one, an access key.

use common::{
    cluster::{METAPLEX, NOS, STAKING, SYSTEM},
    error::UNAUTHORIZED,
    staking::{Stake, INVALID_STAKE_ACCOUNT},
    token::TokenAccount,
    Account, Address, Loaded, Loader, Outcome, ProgramResult,
};

use crate::{
    error::{NFT_INVALID_AMOUNT, NFT_WRONG_OWNER, NOT_ENOUGH_STAKE, WRONG_COLLECTION},
    metadata,
    state::Market,
};

pub struct Credentials<'a> {
    stake: Loaded<'a, Stake>,
    nft: Loaded<'a, TokenAccount>,
    metadata: Account<'a>,
}

impl<'a> Credentials<'a> {
    pub fn load(accounts: &mut Loader<'a>) -> Outcome<Self> {
        Ok(Self {
            stake: accounts.state("stake")?,
            nft: accounts.state("nft")?,
            metadata: accounts.unchecked("metadata")?,
        })
    }

    pub fn check(&self, market: &Loaded<Market>, node: &Account) -> ProgramResult {
        self.check_stake(market, node)?;
        let collection = market.get(Market::ACCESS_KEY);
        // The system program's address, 32 zero bytes, stands for no access key.
        if collection == SYSTEM {
            return Ok(());
        }
        let owned = self.nft.get(TokenAccount::OWNER) == *node.key();
        self.nft.require(owned, &NFT_WRONG_OWNER)?;
        let held = self.nft.get(TokenAccount::AMOUNT) >= 1;
        self.nft.require(held, &NFT_INVALID_AMOUNT)?;
        self.metadata
            .require(self.is_key_of(&collection), &WRONG_COLLECTION)
    }

    fn check_stake(&self, market: &Loaded<Market>, node: &Account) -> ProgramResult {
        self.stake.has_one(Stake::AUTHORITY, node, &UNAUTHORIZED)?;
        let enough = self.stake.get(Stake::XNOS) >= market.get(Market::XNOS_MINIMUM);
        self.stake.require(enough, &NOT_ENOUGH_STAKE)?;
        let seeds = [b"stake", NOS.as_ref(), node.key().as_ref()];
        let (address, _) = Address::find_program_address(&seeds, &STAKING);
        self.stake.require_key(&address, &INVALID_STAKE_ACCOUNT)
    }

    fn is_key_of(&self, collection: &Address) -> bool {
        let mint = self.nft.get(TokenAccount::MINT);
        let seeds = [b"metadata", METAPLEX.as_ref(), mint.as_ref()];
        let (address, _) = Address::find_program_address(&seeds, &METAPLEX);
        *self.metadata.key() == address
            && metadata::verified_collection(self.metadata.data()) == Some(*collection)
    }
}
