//! An account of an instruction, with the name that errors call it by.

use core::{marker::PhantomData, ops::Deref};

use crate::{
    cluster::SYSTEM,
    error::{Rule, CLOSE_TARGET, DUPLICATE, NOT_WRITABLE, SEEDS},
    layout::Value,
    math, AccountView, Address, Field, Outcome, ProgramResult,
};

#[derive(Clone, Copy)]
pub struct Account<'a> {
    pub view: &'a AccountView,
    pub name: &'static str,
}

impl<'a> Account<'a> {
    pub fn key(&self) -> &'a Address {
        self.view.address()
    }

    pub fn data(&self) -> &'a [u8] {
        // SAFETY: a program runs alone; data is written through `Loaded::set` and
        // `bytes_mut` only, and no slice is kept across such a write.
        unsafe { self.view.borrow_unchecked() }
    }

    /// The data to write to. Do not hold it while data of the same account is read.
    #[allow(clippy::mut_from_ref)]
    pub fn bytes_mut(&self) -> &mut [u8] {
        // SAFETY: as for `data`.
        unsafe { self.view.borrow_unchecked_mut() }
    }

    /// This account must belong to the program `expected`.
    #[inline(never)]
    pub fn require_owner(&self, expected: &Address, rule: &Rule) -> ProgramResult {
        if self.view.owned_by(expected) {
            return Ok(());
        }
        // SAFETY: nobody assigns the account while the owner is read.
        Err(rule.mismatch(self, unsafe { self.view.owner() }, expected))
    }

    #[inline(never)]
    pub fn writable(&self) -> ProgramResult {
        self.require(self.view.is_writable(), &NOT_WRITABLE)
    }

    /// A rule on values: raised by this account, without saying what was compared.
    #[inline(always)]
    pub fn require(&self, holds: bool, rule: &Rule) -> ProgramResult {
        if holds {
            Ok(())
        } else {
            Err(rule.caused_by(self.name))
        }
    }

    /// This account must be the one at `expected`.
    #[inline(never)]
    pub fn require_key(&self, expected: &Address, rule: &Rule) -> ProgramResult {
        if self.key() == expected {
            Ok(())
        } else {
            Err(rule.mismatch(self, self.key(), expected))
        }
    }

    /// This account must be the program-derived address of the seeds; gives its bump.
    #[inline(never)]
    pub fn require_seeds(&self, seeds: &[&[u8]], program: &Address) -> Outcome<u8> {
        let (expected, bump) = Address::find_program_address(seeds, program);
        self.require_key(&expected, &SEEDS)?;
        Ok(bump)
    }

    /// The key at `offset` must be that of the account `other`.
    #[inline(never)]
    fn stores(&self, offset: usize, other: &Account, rule: &Rule) -> ProgramResult {
        let stored = Address::read(&self.data()[offset..offset + Address::SIZE]);
        if stored == *other.key() {
            Ok(())
        } else {
            Err(rule.mismatch(self, &stored, other.key()))
        }
    }

    /// An account cannot be closed in favour of itself.
    pub fn closes_to(&self, target: &Account) -> ProgramResult {
        self.require(self.key() != target.key(), &CLOSE_TARGET)
    }

    /// Gives all lamports to `target`, clears the data and hands the account back to the
    /// system program.
    #[inline(never)]
    pub fn close(&self, target: &Account) -> ProgramResult {
        let total = math::add(target.view.lamports(), self.view.lamports());
        target.view.set_lamports(total);
        self.view.set_lamports(0);
        // SAFETY: nobody holds the owner.
        unsafe { self.view.assign(&SYSTEM) };
        self.view.resize(0)
    }
}

/// An account whose owner and kind were checked.
pub struct Loaded<'a, S> {
    account: Account<'a>,
    state: PhantomData<S>,
}

impl<S> Clone for Loaded<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Loaded<'_, S> {}

impl<'a, S> Deref for Loaded<'a, S> {
    type Target = Account<'a>;
    fn deref(&self) -> &Account<'a> {
        &self.account
    }
}

impl<'a, S> Loaded<'a, S> {
    /// For accounts that were just inspected or created as an `S`.
    pub(crate) fn trust(account: Account<'a>) -> Self {
        Self {
            account,
            state: PhantomData,
        }
    }

    #[inline(always)]
    pub fn get<V: Value>(&self, field: Field<S, V>) -> V {
        V::read(&self.data()[field.offset..field.end()])
    }

    #[inline(always)]
    pub fn set<V: Value>(&self, field: Field<S, V>, value: V) {
        value.write(&mut self.bytes_mut()[field.offset..field.end()]);
    }

    /// The key stored in `field` must be that of the account `other`.
    #[inline(always)]
    pub fn has_one(&self, field: Field<S, Address>, other: &Account, rule: &Rule) -> ProgramResult {
        self.account.stores(field.offset, other, rule)
    }

    /// As `has_one`, for a field and an account of different names: Anchor knows those as a
    /// rule on values only, and its log does not say what was compared.
    #[inline(always)]
    pub fn matches(&self, field: Field<S, Address>, other: &Account, rule: &Rule) -> ProgramResult {
        self.account.require(self.get(field) == *other.key(), rule)
    }
}

/// No two of the accounts may be the same; the later one is blamed.
#[inline(never)]
pub fn require_distinct(accounts: &[Account]) -> ProgramResult {
    for (index, account) in accounts.iter().enumerate() {
        let seen = accounts[..index]
            .iter()
            .any(|other| other.key() == account.key());
        account.require(!seen, &DUPLICATE)?;
    }
    Ok(())
}
