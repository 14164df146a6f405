//! The arithmetic of reflections.

use common::{
    math::{add_wide, div_wide, mul_wide, sub_wide},
    rewards::{Reflection, Reward},
    Loaded,
};

/// The rate before any fee: large, so that a small fee still lowers it.
pub const FIRST_RATE: u128 = 3_402_823_669_209_384_634_633_746;

/// What a holder is counted with.
pub struct Share {
    pub reflection: u128,
    pub xnos: u128,
}

/// Reflection of so many xNOS at today's rate.
pub fn reflection_of(pot: &Loaded<Reflection>, xnos: u128) -> u128 {
    mul_wide(xnos, pot.get(Reflection::RATE))
}

/// Counts a share in and writes it down. (Inlined, because the optimiser would pass more
/// values than the target has registers for.)
#[inline(always)]
pub fn enter(pot: &Loaded<Reflection>, reward: &Loaded<Reward>, share: &Share) {
    let total = pot.get(Reflection::TOTAL_REFLECTION);
    pot.set(
        Reflection::TOTAL_REFLECTION,
        add_wide(total, share.reflection),
    );
    let total = pot.get(Reflection::TOTAL_XNOS);
    pot.set(Reflection::TOTAL_XNOS, add_wide(total, share.xnos));
    reward.set(Reward::REFLECTION, share.reflection);
    reward.set(Reward::XNOS, share.xnos);
}

/// Takes a share of so many xNOS out of the totals.
pub fn leave(pot: &Loaded<Reflection>, reward: &Loaded<Reward>, xnos: u128) {
    let total = pot.get(Reflection::TOTAL_REFLECTION);
    let reflection = reward.get(Reward::REFLECTION);
    pot.set(Reflection::TOTAL_REFLECTION, sub_wide(total, reflection));
    let total = pot.get(Reflection::TOTAL_XNOS);
    pot.set(Reflection::TOTAL_XNOS, sub_wide(total, xnos));
}

/// What fees have added to the share since it was counted in.
pub fn earned(pot: &Loaded<Reflection>, reward: &Loaded<Reward>) -> u128 {
    let worth = div_wide(reward.get(Reward::REFLECTION), pot.get(Reflection::RATE));
    sub_wide(worth, reward.get(Reward::XNOS))
}
