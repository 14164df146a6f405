//! Takes an instruction's accounts in their declared order. What is checked here comes
//! before every constraint.

use crate::{
    cluster::{RENT_SYSVAR, SYSTEM, TOKEN},
    error::{
        NOT_EXECUTABLE, NOT_INITIALIZED, NOT_SIGNED, TOO_FEW_ACCOUNTS, WRONG_OWNER, WRONG_PROGRAM,
        WRONG_SYSVAR,
    },
    Account, AccountView, Address, Loaded, Outcome, ProgramResult, State,
};

pub struct Loader<'a> {
    rest: &'a [AccountView],
}

impl<'a> Loader<'a> {
    pub fn new(accounts: &'a [AccountView]) -> Self {
        Self { rest: accounts }
    }

    /// An account that the instruction creates; nothing is known of it yet.
    pub fn fresh(&mut self, name: &'static str) -> Outcome<Account<'a>> {
        self.next(name).ok_or_else(|| TOO_FEW_ACCOUNTS.occurred())
    }

    #[inline(never)]
    pub fn unchecked(&mut self, name: &'static str) -> Outcome<Account<'a>> {
        self.next(name)
            .ok_or_else(|| TOO_FEW_ACCOUNTS.caused_by(name))
    }

    #[inline(never)]
    pub fn signer(&mut self, name: &'static str) -> Outcome<Account<'a>> {
        let account = self.unchecked(name)?;
        account.require(account.view.is_signer(), &NOT_SIGNED)?;
        Ok(account)
    }

    #[inline(never)]
    pub fn state<S: State>(&mut self, name: &'static str) -> Outcome<Loaded<'a, S>> {
        let account = self.unchecked(name)?;
        let view = account.view;
        if view.owned_by(&SYSTEM) && view.lamports() == 0 {
            return Err(NOT_INITIALIZED.caused_by(name));
        }
        account.require_owner(&S::OWNER, &WRONG_OWNER)?;
        S::inspect(account.data(), name)?;
        Ok(Loaded::trust(account))
    }

    #[inline(never)]
    pub fn program(&mut self, name: &'static str, address: &Address) -> ProgramResult {
        let account = self.unchecked(name)?;
        account.require_key(address, &WRONG_PROGRAM)?;
        account.require(account.view.executable(), &NOT_EXECUTABLE)
    }

    pub fn token_program(&mut self) -> ProgramResult {
        self.program("token_program", &TOKEN)
    }

    pub fn system_program(&mut self) -> ProgramResult {
        self.program("system_program", &SYSTEM)
    }

    pub fn rent(&mut self) -> ProgramResult {
        let account = self.unchecked("rent")?;
        account.require(*account.key() == RENT_SYSVAR, &WRONG_SYSVAR)
    }

    fn next(&mut self, name: &'static str) -> Option<Account<'a>> {
        let (view, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(Account { view, name })
    }
}
