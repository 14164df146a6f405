//! What a stake weighs, and what of it is free.

use common::{
    math::{add_wide, div, div_wide, mul, mul_wide, sub},
    staking::Stake,
    Loaded,
};

const DAY: u64 = 24 * 60 * 60;
/// Shortest and longest duration, both allowed, in seconds.
pub const SHORTEST: u64 = 14 * DAY;
pub const LONGEST: u64 = 365 * DAY;

/// Weights are computed with 15 decimals.
const PRECISION: u128 = 1_000_000_000_000_000;
/// A stake of this many seconds weighs twice its tokens, one of a year four times.
const DOUBLING: u128 = (4 * LONGEST / 12) as u128;

/// xNOS of an amount (1e-6 NOS) that is locked for `duration` seconds.
pub fn xnos(amount: u64, duration: u64) -> u128 {
    let extra = div_wide(mul_wide(duration as u128, PRECISION), DOUBLING);
    let factor = add_wide(extra, PRECISION);
    div_wide(mul_wide(factor, amount as u128), PRECISION)
}

/// Weighs the stake anew, after its amount or duration was written.
pub fn weigh(stake: &Loaded<Stake>) {
    let weight = xnos(stake.get(Stake::AMOUNT), stake.get(Stake::DURATION));
    stake.set(Stake::XNOS, weight);
}

/// Tokens of an unstaked stake that can be withdrawn after `elapsed` seconds, where
/// `balance` is left of its `amount`: they become free evenly over the duration. The
/// order of the integer divisions is the network's, and so is the rounding.
pub fn released(amount: u64, balance: u64, duration: u64, elapsed: u64) -> u64 {
    if elapsed >= duration {
        return balance;
    }
    let precision = sub(div(u64::MAX, amount.max(elapsed)), 1);
    let share = div(mul(elapsed, precision), duration);
    let free = div(mul(share, amount), precision);
    sub(free, sub(amount, balance))
}
