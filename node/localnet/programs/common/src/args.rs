//! Instruction data: eight bytes that name the instruction, then its arguments.

use crate::{
    error::{ARGUMENTS, EVENT_STUB, FALLBACK_NOT_FOUND, WRONG_DEPLOYMENT},
    layout::Value,
    Address, Outcome, ProgramError,
};

/// What Anchor begins the data with of a program's calls to itself that report events.
const EVENT: u64 = 0xe445a52e51cb9a1d;

/// Arguments that were not taken yet. Bytes after the last one are ignored.
pub struct Args<'a> {
    rest: &'a [u8],
}

impl<'a> Args<'a> {
    pub fn take<V: Value>(&mut self) -> Outcome<V> {
        self.bytes(V::SIZE).map(V::read)
    }

    pub fn flag(&mut self) -> Outcome<bool> {
        match self.take::<u8>()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(ARGUMENTS.occurred()),
        }
    }

    pub fn text(&mut self) -> Outcome<&'a str> {
        let length = self.take::<u32>()? as usize;
        let bytes = self.bytes(length)?;
        core::str::from_utf8(bytes).map_err(|_| ARGUMENTS.occurred())
    }

    fn bytes(&mut self, count: usize) -> Outcome<&'a [u8]> {
        if self.rest.len() < count {
            return Err(ARGUMENTS.occurred());
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }
}

/// What is answered to a discriminator that names no instruction.
#[cold]
#[inline(never)]
pub fn unknown(discriminator: u64) -> ProgramError {
    match discriminator {
        EVENT => EVENT_STUB.occurred(),
        _ => FALLBACK_NOT_FOUND.occurred(),
    }
}

/// Splits the data of an instruction of the program `declared`, which must be the one
/// that runs. The discriminator reads like its hex form.
pub fn split<'a>(
    declared: &Address,
    running: &Address,
    data: &'a [u8],
) -> Outcome<(u64, Args<'a>)> {
    if declared != running {
        return Err(WRONG_DEPLOYMENT.occurred());
    }
    if data.len() < 8 {
        return Err(FALLBACK_NOT_FOUND.occurred());
    }
    let (head, rest) = data.split_at(8);
    Ok((u64::read(head).swap_bytes(), Args { rest }))
}
