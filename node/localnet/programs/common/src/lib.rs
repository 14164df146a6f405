//! What the four market programs share: the order in which an instruction is checked,
//! the errors clients read from the log, account layouts, and calls to other programs.
#![no_std]

#[cfg(not(any(feature = "devnet", feature = "mainnet")))]
compile_error!("choose the cluster: --features devnet or --features mainnet");
#[cfg(all(feature = "devnet", feature = "mainnet"))]
compile_error!("devnet and mainnet exclude each other");

pub mod account;
pub mod args;
pub mod builtins;
pub mod cluster;
pub mod creation;
pub mod error;
pub mod layout;
pub mod loader;
pub mod log;
pub mod math;
pub mod rewards;
pub mod staking;
pub mod sysvar;
pub mod token;

pub use account::{Account, Loaded};
pub use args::Args;
pub use layout::{Field, State};
pub use loader::Loader;
pub use pinocchio::{
    cpi::{Seed, Signer},
    error::ProgramError,
    AccountView, Address, ProgramResult,
};
pub use sysvar::now;

/// What every check returns: the value, or the error the transaction fails with.
/// The error's log line has been written by then.
pub type Outcome<T> = Result<T, ProgramError>;

/// Declares a program: its address and, per instruction, the eight-byte discriminator,
/// the name that is logged, and the handler.
#[macro_export]
macro_rules! program {
    ($address:expr, { $($discriminator:literal $name:literal => $handler:path,)+ }) => {
        fn process(
            program: &$crate::Address,
            accounts: &[$crate::AccountView],
            data: &[u8],
        ) -> $crate::ProgramResult {
            let (discriminator, args) = $crate::args::split(&$address, program, data)?;
            let loader = $crate::Loader::new(accounts);
            match discriminator {
                $($discriminator => {
                    $crate::log::line(&[concat!("Instruction: ", $name)]);
                    $handler(loader, args)
                })+
                other => Err($crate::args::unknown(other)),
            }
        }

        // No instruction reads more than 13 accounts; further ones are skipped.
        pinocchio::program_entrypoint!(process, 16);
        pinocchio::no_allocator!();

        #[cfg(target_arch = "bpf")]
        #[panic_handler]
        fn abort(panic: &core::panic::PanicInfo) -> ! {
            $crate::log::panicked(panic)
        }
        // A host build, made by nothing but editors and linters, has the one of std.
        #[cfg(not(target_arch = "bpf"))]
        extern crate std as _;
    };
}
