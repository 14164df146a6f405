//! Arithmetic that aborts on overflow, without a named error. Products and quotients of
//! 128 bits are written out: the target has no library function for them.

const LOW: u64 = 0xffff_ffff;

#[cold]
#[inline(never)]
fn overflow(attempt: Attempt) -> ! {
    match attempt {
        Attempt::Add => panic!("attempt to add with overflow"),
        Attempt::Subtract => panic!("attempt to subtract with overflow"),
        Attempt::Multiply => panic!("attempt to multiply with overflow"),
        Attempt::Divide => panic!("attempt to divide by zero"),
        Attempt::Convert => panic!("number out of range"),
    }
}

/// What could not be done: the log says it in the compiler's words.
enum Attempt {
    Add,
    Subtract,
    Multiply,
    Divide,
    Convert,
}

pub fn add(left: u64, right: u64) -> u64 {
    left.checked_add(right)
        .unwrap_or_else(|| overflow(Attempt::Add))
}

pub fn sub(left: u64, right: u64) -> u64 {
    left.checked_sub(right)
        .unwrap_or_else(|| overflow(Attempt::Subtract))
}

pub fn mul(left: u64, right: u64) -> u64 {
    let (high, low) = product(left, right);
    if high != 0 {
        overflow(Attempt::Multiply)
    }
    low
}

pub fn div(left: u64, right: u64) -> u64 {
    left.checked_div(right)
        .unwrap_or_else(|| overflow(Attempt::Divide))
}

/// A span of time as a factor for a price.
pub fn unsigned(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or_else(|_| overflow(Attempt::Convert))
}

/// The seconds from `start` to `end`.
pub fn span(start: i64, end: i64) -> i64 {
    end.checked_sub(start)
        .unwrap_or_else(|| overflow(Attempt::Subtract))
}

pub fn add_time(time: i64, seconds: i64) -> i64 {
    time.checked_add(seconds)
        .unwrap_or_else(|| overflow(Attempt::Add))
}

pub fn add_wide(left: u128, right: u128) -> u128 {
    left.checked_add(right)
        .unwrap_or_else(|| overflow(Attempt::Add))
}

pub fn sub_wide(left: u128, right: u128) -> u128 {
    left.checked_sub(right)
        .unwrap_or_else(|| overflow(Attempt::Subtract))
}

/// The value as an amount of tokens.
pub fn narrow(value: u128) -> u64 {
    match halves(value) {
        (0, low) => low,
        _ => overflow(Attempt::Convert),
    }
}

#[inline(never)]
pub fn mul_wide(left: u128, right: u128) -> u128 {
    let (left_high, left_low) = halves(left);
    let (right_high, right_low) = halves(right);
    if left_high != 0 && right_high != 0 {
        overflow(Attempt::Multiply)
    }
    let (carry, low) = product(left_low, right_low);
    // One of the two is 0.
    let cross = mul(left_high, right_low) + mul(left_low, right_high);
    match carry.checked_add(cross) {
        Some(high) => join(high, low),
        None => overflow(Attempt::Multiply),
    }
}

/// Quotient, rounded down. Long division, a bit at a time: it is used a few times per
/// instruction at most.
#[inline(never)]
pub fn div_wide(left: u128, right: u128) -> u128 {
    let (divisor_high, divisor_low) = halves(right);
    if divisor_high == 0 && divisor_low == 0 {
        overflow(Attempt::Divide)
    }
    let (mut high, mut low) = halves(left);
    if high == 0 && divisor_high == 0 {
        return (low / divisor_low) as u128;
    }
    let (mut rest_high, mut rest_low) = (0u64, 0u64);
    for _ in 0..128 {
        // Quotient bits enter from the right as dividend bits leave to the left.
        let carried = rest_high >> 63;
        rest_high = rest_high << 1 | rest_low >> 63;
        rest_low = rest_low << 1 | high >> 63;
        high = high << 1 | low >> 63;
        low <<= 1;
        let fits =
            rest_high > divisor_high || (rest_high == divisor_high && rest_low >= divisor_low);
        if carried == 1 || fits {
            let borrow = (rest_low < divisor_low) as u64;
            rest_low = rest_low.wrapping_sub(divisor_low);
            rest_high = rest_high.wrapping_sub(divisor_high).wrapping_sub(borrow);
            low |= 1;
        }
    }
    join(high, low)
}

/// The 128-bit product as (high, low).
fn product(left: u64, right: u64) -> (u64, u64) {
    let (left_high, left_low) = (left >> 32, left & LOW);
    let (right_high, right_low) = (right >> 32, right & LOW);
    let bottom = left_low * right_low;
    let first = left_high * right_low + (bottom >> 32);
    let second = left_low * right_high + (first & LOW);
    let top = left_high * right_high + (first >> 32) + (second >> 32);
    (top, second << 32 | bottom & LOW)
}

fn halves(value: u128) -> (u64, u64) {
    ((value >> 64) as u64, value as u64)
}

fn join(high: u64, low: u64) -> u128 {
    (high as u128) << 64 | low as u128
}
