//! Log lines, built in a buffer on the stack: the target has no allocator, and the
//! formatting machinery of `core` costs thousands of compute units.

use core::panic::PanicInfo;

use crate::Address;

/// Longer than the longest error line; the rest of an even longer one is cut off.
const CAPACITY: usize = 320;
/// Decimal digits of the largest u64.
const DIGITS: usize = 20;

/// Logs the parts as one line.
#[inline(never)]
pub fn line(parts: &[&str]) {
    if let [only] = parts {
        return write(only.as_bytes());
    }
    let mut buffer = [0u8; CAPACITY];
    let mut length = 0;
    for part in parts {
        let count = part.len().min(CAPACITY - length);
        buffer[length..length + count].copy_from_slice(&part.as_bytes()[..count]);
        length += count;
    }
    write(&buffer[..length]);
}

/// Logs the two keys of a failed comparison the way clients expect them.
#[inline(never)]
pub fn comparison(left: &Address, right: &Address) {
    line(&["Left:"]);
    key(left);
    line(&["Right:"]);
    key(right);
}

/// A number in decimal, as text.
pub struct Decimal {
    digits: [u8; DIGITS],
    start: usize,
}

impl Decimal {
    pub fn new(mut number: u64) -> Self {
        let mut digits = [b'0'; DIGITS];
        let mut start = DIGITS;
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return Self { digits, start };
            }
        }
    }

    pub fn text(&self) -> &str {
        // SAFETY: only ASCII digits were written.
        unsafe { core::str::from_utf8_unchecked(&self.digits[self.start..]) }
    }
}

/// Logs why and where the program gives up, as a program with std does, and ends it.
pub fn panicked(panic: &PanicInfo) -> ! {
    if let Some(place) = panic.location() {
        let (at, column) = (place.line() as u64, place.column() as u64);
        line(&[
            "panicked at ",
            place.file(),
            ":",
            Decimal::new(at).text(),
            ":",
            Decimal::new(column).text(),
            ":\n",
            panic.message().as_str().unwrap_or(""),
        ]);
    }
    abort()
}

#[cfg(target_arch = "bpf")]
fn abort() -> ! {
    // SAFETY: the runtime ends the program.
    unsafe { pinocchio::syscalls::abort() }
}

#[cfg(not(target_arch = "bpf"))]
fn abort() -> ! {
    loop {}
}

#[cfg(target_arch = "bpf")]
fn write(text: &[u8]) {
    // SAFETY: the runtime reads exactly the slice.
    unsafe { pinocchio::syscalls::sol_log_(text.as_ptr(), text.len() as u64) }
}

#[cfg(target_arch = "bpf")]
fn key(key: &Address) {
    // SAFETY: the runtime reads the 32 bytes of the key.
    unsafe { pinocchio::syscalls::sol_log_pubkey(key.as_ref().as_ptr()) }
}

#[cfg(not(target_arch = "bpf"))]
fn write(_text: &[u8]) {}

#[cfg(not(target_arch = "bpf"))]
fn key(_key: &Address) {}
