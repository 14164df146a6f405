//! Where a value lies in an account's bytes. Fields carry the type of their account, so
//! that a run's field cannot be read from a job.

use core::marker::PhantomData;

use crate::{Address, Outcome, ProgramResult};

/// A value as it lies in account data and instruction data: little endian, unaligned.
pub trait Value: Copy {
    const SIZE: usize;
    /// `bytes` holds exactly `SIZE` bytes.
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut [u8]);
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl Value for $number {
            const SIZE: usize = core::mem::size_of::<$number>();
            fn read(bytes: &[u8]) -> Self {
                let mut copy = [0; <$number>::SIZE];
                copy.copy_from_slice(bytes);
                <$number>::from_le_bytes(copy)
            }
            fn write(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        })+
    };
}

numbers!(u8, u16, u32, u64, i64, u128);

/// 32 bytes of a content hash.
pub type Hash = [u8; 32];

impl Value for Hash {
    const SIZE: usize = 32;
    fn read(bytes: &[u8]) -> Self {
        let mut copy = [0; 32];
        copy.copy_from_slice(bytes);
        copy
    }
    fn write(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self);
    }
}

impl Value for Address {
    const SIZE: usize = 32;
    fn read(bytes: &[u8]) -> Self {
        Address::new_from_array(Hash::read(bytes))
    }
    fn write(self, bytes: &mut [u8]) {
        bytes.copy_from_slice(self.as_ref());
    }
}

/// The place of a value `V` in an account of state `S`.
pub struct Field<S, V> {
    pub offset: usize,
    types: PhantomData<(S, V)>,
}

impl<S, V: Value> Field<S, V> {
    pub const fn at(offset: usize) -> Self {
        Self {
            offset,
            types: PhantomData,
        }
    }

    pub const fn end(&self) -> usize {
        self.offset + V::SIZE
    }
}

/// The kind of an account that a program owns.
pub trait State: Sized {
    /// The program that owns such accounts.
    const OWNER: Address;
    /// Bytes allocated for a new one. More than the fields take where the network's
    /// programs allocate by the size of a Rust struct.
    const SPACE: usize;

    /// Fails where the data is not of this kind; `account` names it in the log.
    fn inspect(data: &[u8], account: &'static str) -> ProgramResult;
}

/// States that begin with eight bytes naming their kind.
pub trait Tagged: State {
    const DISCRIMINATOR: [u8; 8];
}

/// Checks what all tagged states have in common: the tag and the fixed fields.
#[inline(always)]
pub fn inspect_tagged(
    data: &[u8],
    discriminator: &[u8; 8],
    fixed: usize,
    account: &'static str,
) -> Outcome<()> {
    use crate::error::{NOT_DECODED, NO_DISCRIMINATOR, WRONG_DISCRIMINATOR};
    if data.len() < discriminator.len() {
        return Err(NO_DISCRIMINATOR.caused_by(account));
    }
    if data[..8] != discriminator[..] {
        return Err(WRONG_DISCRIMINATOR.caused_by(account));
    }
    if data.len() < fixed {
        return Err(NOT_DECODED.caused_by(account));
    }
    Ok(())
}

/// Declares a tagged state: owner, discriminator (as hex, in byte order), allocated
/// bytes, end of the fixed fields, and each field with its offset.
/// `then` names a function that checks what follows the fixed fields.
#[macro_export]
macro_rules! state {
    ($(#[$doc:meta])* $state:ident {
        owner: $owner:expr,
        discriminator: $discriminator:literal,
        space: $space:literal,
        fixed: $fixed:literal $(then $tail:path)?,
        $($(#[$field_doc:meta])* $field:ident: $value:ty = $offset:literal,)+
    }) => {
        $(#[$doc])*
        pub struct $state;

        impl $state {
            $($(#[$field_doc])*
            pub const $field: $crate::Field<$state, $value> = $crate::Field::at($offset);)+
        }

        impl $crate::State for $state {
            const OWNER: $crate::Address = $owner;
            const SPACE: usize = $space;

            fn inspect(data: &[u8], account: &'static str) -> $crate::ProgramResult {
                $crate::layout::inspect_tagged(
                    data,
                    &<$state as $crate::layout::Tagged>::DISCRIMINATOR,
                    $fixed,
                    account,
                )?;
                $(if !$tail(data) {
                    return Err($crate::error::NOT_DECODED.caused_by(account));
                })?
                Ok(())
            }
        }

        impl $crate::layout::Tagged for $state {
            const DISCRIMINATOR: [u8; 8] = ($discriminator as u64).to_be_bytes();
        }
    };
}
