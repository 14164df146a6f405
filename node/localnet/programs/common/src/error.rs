//! Errors as clients see them: a number that the transaction fails with and one log
//! line. Numbers of the shared list and of each program's own list overlap, so the name
//! in the line is what identifies an error.

use crate::{
    log::{comparison, line, Decimal},
    Account, Address, ProgramError,
};

/// A rule of a program, by the error that breaking it raises.
pub struct Rule {
    pub name: &'static str,
    pub number: u32,
    pub text: &'static str,
}

impl Rule {
    pub const fn new(number: u32, name: &'static str, text: &'static str) -> Self {
        Self { name, number, text }
    }

    /// Raised by no account in particular.
    #[cold]
    #[inline(never)]
    pub fn occurred(&self) -> ProgramError {
        self.raise(&["AnchorError occurred"])
    }

    /// Raised by a handler, named by its place in the source; see `ensure!`.
    #[cold]
    #[inline(never)]
    pub fn thrown(&self, file: &str, at: u32) -> ProgramError {
        let at = Decimal::new(at as u64);
        self.raise(&["AnchorError thrown in ", file, ":", at.text()])
    }

    /// Raised while an account is loaded or its constraints are checked.
    #[cold]
    #[inline(never)]
    pub fn caused_by(&self, account: &str) -> ProgramError {
        self.raise(&["AnchorError caused by account: ", account])
    }

    /// As `caused_by`, with the key that was found and the one that was wanted. Only
    /// comparisons that Anchor makes itself (stored keys, addresses, owners, seeds) say so.
    #[cold]
    #[inline(never)]
    pub fn mismatch(&self, account: &Account, left: &Address, right: &Address) -> ProgramError {
        let error = self.caused_by(account.name);
        comparison(left, right);
        error
    }

    fn raise(&self, origin: &[&str]) -> ProgramError {
        let number = Decimal::new(self.number as u64);
        let mut parts = [""; 10];
        parts[..origin.len()].copy_from_slice(origin);
        parts[4..].copy_from_slice(&[
            ". Error Code: ",
            self.name,
            ". Error Number: ",
            number.text(),
            ". Error Message: ",
            self.text,
        ]);
        end_line(&parts);
        ProgramError::Custom(self.number)
    }
}

/// Every message is followed by a full stop, also one that has its own.
fn end_line(parts: &[&str; 10]) {
    let mut ended = [""; 11];
    ended[..10].copy_from_slice(parts);
    ended[10] = ".";
    line(&ended);
}

/// Fails with a rule of a handler unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $rule:expr) => {
        if !$condition {
            return Err($rule.thrown(file!(), line!()));
        }
    };
}

/// A builtin error of the runtime, raised by an account that does not unpack.
#[cold]
#[inline(never)]
pub fn unpacking(account: &str, error: ProgramError) -> ProgramError {
    let (name, text) = match error {
        ProgramError::UninitializedAccount => (
            "UninitializedAccount",
            "An attempt to operate on an account that hasn't been initialized",
        ),
        _ => (
            "InvalidAccountData",
            "An account's data contents was invalid",
        ),
    };
    let number = Decimal::new(u64::from(error.clone()));
    line(&[
        "ProgramError caused by account: ",
        account,
        ". Error Code: ",
        name,
        ". Error Number: ",
        number.text(),
        ". Error Message: ",
        text,
        ".",
    ]);
    error
}

/// Declares rules: constant, number, name and text of each.
#[macro_export]
macro_rules! rules {
    ($($constant:ident = $number:literal $name:ident $text:literal;)+) => {
        $(pub const $constant: $crate::error::Rule =
            $crate::error::Rule::new($number, stringify!($name), $text);)+
    };
}

// Anchor's own numbers.
rules! {
    FALLBACK_NOT_FOUND = 101 InstructionFallbackNotFound "Fallback functions are not supported";
    ARGUMENTS = 102 InstructionDidNotDeserialize "The program could not deserialize the given instruction";
    EVENT_STUB = 1500 EventInstructionStub "The program was compiled without `event-cpi` feature";
    NOT_WRITABLE = 2000 ConstraintMut "A mut constraint was violated";
    SEEDS = 2006 ConstraintSeeds "A seeds constraint was violated";
    CLOSE_TARGET = 2011 ConstraintClose "A close constraint was violated";
    TOKEN_MINT = 2014 ConstraintTokenMint "A token mint constraint was violated";
    DUPLICATE = 2040 ConstraintDuplicateMutableAccount "A duplicate mutable account constraint was violated";
    NO_DISCRIMINATOR = 3001 AccountDiscriminatorNotFound "No discriminator was found on the account";
    WRONG_DISCRIMINATOR = 3002 AccountDiscriminatorMismatch "Account discriminator did not match what was expected";
    NOT_DECODED = 3003 AccountDidNotDeserialize "Failed to deserialize the account";
    NOT_ENCODED = 3004 AccountDidNotSerialize "Failed to serialize the account";
    TOO_FEW_ACCOUNTS = 3005 AccountNotEnoughKeys "Not enough account keys given to the instruction";
    WRONG_OWNER = 3007 AccountOwnedByWrongProgram "The given account is owned by a different program than expected";
    WRONG_PROGRAM = 3008 InvalidProgramId "Program ID was not as expected";
    NOT_EXECUTABLE = 3009 InvalidProgramExecutable "Program account is not executable";
    NOT_SIGNED = 3010 AccountNotSigner "The given account did not sign";
    NOT_INITIALIZED = 3012 AccountNotInitialized "The program expected this account to be already initialized";
    WRONG_SYSVAR = 3015 AccountSysvarMismatch "The given public key does not match the required sysvar";
    WRONG_DEPLOYMENT = 4100 DeclaredProgramIdMismatch "The declared program id does not match the actual program id";
    PAYER_AS_ACCOUNT = 4101 TryingToInitPayerAsProgramAccount "You cannot/should not initialize the payer account as a program account";
}

// The list every program of the network shares.
rules! {
    UNAUTHORIZED = 6000 Unauthorized "This account is not authorized to perform this action.";
    INVALID_OWNER = 6001 InvalidOwner "This account is owned by an invalid program.";
    LAMPORTS_NON_NULL = 6002 LamportsNonNull "This account has lamports.";
    MISSING_SIGNATURE = 6003 MissingSignature "This account is missing a signature.";
    INVALID_ACCOUNT = 6004 InvalidAccount "This account is not valid.";
    INVALID_TOKEN_ACCOUNT = 6005 InvalidTokenAccount "This token account is not valid.";
    INVALID_MINT = 6006 InvalidMint "This mint is invalid.";
    INVALID_VAULT = 6007 InvalidVault "This account has an invalid vault.";
    INVALID_PAYER = 6008 InvalidPayer "This payer account is not valid.";
    VAULT_EMPTY = 6009 VaultEmpty "This vault is empty.";
    VAULT_NOT_EMPTY = 6010 VaultNotEmpty "This vault is not empty.";
    INVALID_ATA = 6011 InvalidATA "This Associated Token Account is not valid.";
}
