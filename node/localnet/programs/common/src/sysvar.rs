//! The two sysvars the programs need. Read by the runtime's call itself: pinocchio's own
//! reader takes this target for a host and makes up the bytes.

use crate::{
    cluster::{CLOCK_SYSVAR, RENT_SYSVAR},
    layout::Value,
    math, Address, Outcome, ProgramError,
};

/// Where the Clock keeps its unix timestamp.
const TIMESTAMP: u64 = 32;
/// Bytes an account costs beside its data.
const OVERHEAD: u64 = 128;
/// 2.0 and 1.0 as an f64: the exemption threshold, in years, before and after the network
/// gave up on the idea that rent is collected.
const TWO_YEARS: u64 = 0x4000_0000_0000_0000;
const ONE_YEAR: u64 = 0x3ff0_0000_0000_0000;

/// Seconds since the epoch.
#[inline(never)]
pub fn now() -> Outcome<i64> {
    read::<8>(&CLOCK_SYSVAR, TIMESTAMP).map(|bytes| i64::read(&bytes))
}

/// Lamports that an account with `space` bytes must hold.
pub fn rent(space: usize) -> Outcome<u64> {
    let bytes = read::<16>(&RENT_SYSVAR, 0)?;
    let per_byte_year = u64::read(&bytes[..8]);
    let years = match u64::read(&bytes[8..]) {
        TWO_YEARS => 2,
        ONE_YEAR => 1,
        _ => return Err(ProgramError::UnsupportedSysvar),
    };
    Ok(math::mul(years * (OVERHEAD + space as u64), per_byte_year))
}

#[cfg(target_arch = "bpf")]
fn read<const N: usize>(sysvar: &Address, offset: u64) -> Outcome<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: the runtime reads 32 bytes of the address and writes N bytes.
    let status = unsafe {
        pinocchio::syscalls::sol_get_sysvar(
            sysvar.as_ref().as_ptr(),
            bytes.as_mut_ptr(),
            offset,
            N as u64,
        )
    };
    match status {
        0 => Ok(bytes),
        _ => Err(ProgramError::UnsupportedSysvar),
    }
}

#[cfg(not(target_arch = "bpf"))]
fn read<const N: usize>(_sysvar: &Address, _offset: u64) -> Outcome<[u8; N]> {
    Err(ProgramError::UnsupportedSysvar)
}
