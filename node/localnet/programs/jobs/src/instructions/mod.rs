//! One module per instruction (two where an administrator has a variant of it). Each
//! loads its accounts in the declared order, creates, checks account by account, and
//! only then acts: clients see the first rule that is broken.

pub mod assign;
pub mod claim;
pub mod clean;
pub mod close;
pub mod complete;
pub mod delist;
pub mod end;
pub mod extend;
pub mod finish;
pub mod list;
pub mod open;
pub mod quit;
pub mod recover;
pub mod stop;
pub mod update;
pub mod work;

mod posting;
mod run_slot;
