//! Creating accounts through the system program.

use pinocchio_system::instructions::{Allocate, Assign, CreateAccount, Transfer};

use crate::{
    error::PAYER_AS_ACCOUNT, layout::Tagged, log::comparison, sysvar::rent, Account, Address,
    Loaded, Outcome, ProgramResult, Seed, Signer,
};

/// Creates an account of state `S`, also where somebody sent lamports to it before.
/// `seeds` sign for a derived address; without any the account itself must have signed.
pub fn create<'a, S: Tagged>(
    account: Account<'a>,
    payer: &Account,
    seeds: &[Seed],
) -> Outcome<Loaded<'a, S>> {
    Allotment {
        account: &account,
        payer,
        space: S::SPACE,
        owner: &S::OWNER,
        seeds,
    }
    .perform()?;
    Ok(tag(account))
}

/// As `create`, but an account that holds lamports is refused by the system program.
pub fn create_empty<'a, S: Tagged>(
    account: Account<'a>,
    payer: &Account,
) -> Outcome<Loaded<'a, S>> {
    CreateAccount {
        from: payer.view,
        to: account.view,
        lamports: rent(S::SPACE)?,
        space: S::SPACE as u64,
        owner: &S::OWNER,
    }
    .invoke()?;
    Ok(tag(account))
}

/// What an account is given when it is created: `space` zero bytes, rent for them, and
/// its owner. (One value, because the target passes no more than five arguments.)
pub struct Allotment<'a> {
    pub account: &'a Account<'a>,
    pub payer: &'a Account<'a>,
    pub space: usize,
    pub owner: &'a Address,
    pub seeds: &'a [Seed<'a>],
}

impl Allotment<'_> {
    #[inline(never)]
    pub fn perform(&self) -> ProgramResult {
        let signer = [Signer::from(self.seeds)];
        let signers = if self.seeds.is_empty() {
            &[]
        } else {
            &signer[..]
        };
        if self.account.view.lamports() == 0 {
            return CreateAccount {
                from: self.payer.view,
                to: self.account.view,
                lamports: rent(self.space)?,
                space: self.space as u64,
                owner: self.owner,
            }
            .invoke_signed(signers);
        }
        self.top_up()?;
        Allocate {
            account: self.account.view,
            space: self.space as u64,
        }
        .invoke_signed(signers)?;
        Assign {
            account: self.account.view,
            owner: self.owner,
        }
        .invoke_signed(signers)
    }

    /// Pays what the lamports that are there already leave missing.
    fn top_up(&self) -> ProgramResult {
        let (account, payer) = (self.account, self.payer);
        if account.key() == payer.key() {
            let error = PAYER_AS_ACCOUNT.thrown(file!(), line!());
            comparison(payer.key(), account.key());
            return Err(error);
        }
        let missing = rent(self.space)?.saturating_sub(account.view.lamports());
        if missing == 0 {
            return Ok(());
        }
        Transfer {
            from: payer.view,
            to: account.view,
            lamports: missing,
        }
        .invoke()
    }
}

fn tag<S: Tagged>(account: Account) -> Loaded<S> {
    account.bytes_mut()[..8].copy_from_slice(&S::DISCRIMINATOR);
    Loaded::trust(account)
}
