//! One module per instruction: accounts in the declared order, creations, checks account
//! by account, then the effect.

pub mod close;
pub mod extend;
pub mod restake;
pub mod settings;
pub mod slash;
pub mod stake;
pub mod topup;
pub mod unstake;
pub mod withdraw;
