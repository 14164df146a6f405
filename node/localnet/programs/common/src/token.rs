//! Accounts and calls of the SPL Token program.

use pinocchio_token::instructions::{CloseAccount, InitializeAccount3, Transfer};

use crate::{
    cluster::{ASSOCIATED_TOKEN, NOS, TOKEN},
    creation::Allotment,
    error::unpacking,
    layout::Value,
    Account, Address, Field, Loaded, Outcome, ProgramError, ProgramResult, Seed, Signer, State,
};

/// Bytes of a token account.
const SPACE: usize = 165;

pub struct TokenAccount;

impl TokenAccount {
    pub const MINT: Field<Self, Address> = Field::at(0);
    pub const OWNER: Field<Self, Address> = Field::at(32);
    pub const AMOUNT: Field<Self, u64> = Field::at(64);
    /// 0 uninitialised, 1 initialised, 2 frozen.
    const STATE: usize = 108;
    /// Where delegate, native reserve and close authority say whether they are there.
    const OPTIONS: [usize; 3] = [72, 109, 129];
}

impl State for TokenAccount {
    const OWNER: Address = TOKEN;
    const SPACE: usize = SPACE;

    fn inspect(data: &[u8], account: &'static str) -> ProgramResult {
        if data.len() != SPACE || data[Self::STATE] > 2 || !options_decode(data, &Self::OPTIONS) {
            return Err(unpacking(account, ProgramError::InvalidAccountData));
        }
        if data[Self::STATE] == 0 {
            return Err(unpacking(account, ProgramError::UninitializedAccount));
        }
        Ok(())
    }
}

pub struct Mint;

impl Mint {
    const INITIALIZED: usize = 45;
    /// Where mint authority and freeze authority say whether they are there.
    const OPTIONS: [usize; 2] = [0, 46];
}

impl State for Mint {
    const OWNER: Address = TOKEN;
    const SPACE: usize = 82;

    fn inspect(data: &[u8], account: &'static str) -> ProgramResult {
        let sized = data.len() == Self::SPACE && data[Self::INITIALIZED] <= 1;
        if !sized || !options_decode(data, &Self::OPTIONS) {
            return Err(unpacking(account, ProgramError::InvalidAccountData));
        }
        if data[Self::INITIALIZED] == 0 {
            return Err(unpacking(account, ProgramError::UninitializedAccount));
        }
        Ok(())
    }
}

/// An optional value begins with a u32 that is 0 or 1.
fn options_decode(data: &[u8], offsets: &[usize]) -> bool {
    offsets
        .iter()
        .all(|&offset| u32::read(&data[offset..offset + u32::SIZE]) <= 1)
}

/// The associated NOS account of a wallet.
#[inline(never)]
pub fn nos_account(owner: &Address) -> Address {
    let seeds = [owner.as_ref(), TOKEN.as_ref(), NOS.as_ref()];
    Address::find_program_address(&seeds, &ASSOCIATED_TOKEN).0
}

/// Creates the token account at a derived address, owned by itself, so that only the
/// program that knows its seeds can move its tokens.
#[inline(always)]
pub fn create_vault<'a>(
    vault: Account<'a>,
    mint: &Account,
    payer: &Account,
    seeds: &[Seed],
) -> Outcome<Loaded<'a, TokenAccount>> {
    Allotment {
        account: &vault,
        payer,
        space: SPACE,
        owner: &TOKEN,
        seeds,
    }
    .perform()?;
    InitializeAccount3 {
        account: vault.view,
        mint: mint.view,
        owner: vault.key(),
    }
    .invoke()?;
    Ok(Loaded::trust(vault))
}

/// Moves tokens (in 1e-6 NOS) by the signature of their owner.
#[inline(never)]
pub fn deposit(from: &Account, to: &Account, authority: &Account, amount: u64) -> ProgramResult {
    Transfer {
        from: from.view,
        to: to.view,
        authority: authority.view,
        amount,
    }
    .invoke()
}

/// A vault, with the seeds that the program signs for it with.
pub struct Vault<'a> {
    pub account: &'a Account<'a>,
    pub seeds: &'a [Seed<'a>],
}

impl Vault<'_> {
    /// Moves tokens (in 1e-6 NOS) out of the vault.
    #[inline(never)]
    pub fn withdraw(&self, to: &Account, amount: u64) -> ProgramResult {
        Transfer {
            from: self.account.view,
            to: to.view,
            authority: self.account.view,
            amount,
        }
        .invoke_signed(&[Signer::from(self.seeds)])
    }

    /// Closes the empty vault; its lamports go to `target`.
    pub fn close(&self, target: &Account) -> ProgramResult {
        CloseAccount {
            account: self.account.view,
            destination: target.view,
            authority: self.account.view,
        }
        .invoke_signed(&[Signer::from(self.seeds)])
    }
}
