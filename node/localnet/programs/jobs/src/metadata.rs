//! Reads the collection out of a token's Metaplex metadata. The names before it have any
//! length, so everything up to it has to be decoded.

use common::{layout::Value, Address};

/// First byte of a metadata account.
const KIND: u8 = 4;
/// Values of the token standard are 0 to this.
const LAST_STANDARD: u8 = 5;
/// Values of the use method are 0 to this.
const LAST_USE: u8 = 2;

/// The collection the token belongs to, if the collection's owner has confirmed it. None
/// also where the data does not decode.
pub fn verified_collection(data: &[u8]) -> Option<Address> {
    let mut reader = Reader { rest: data };
    if reader.take::<u8>()? != KIND {
        return None;
    }
    reader.take::<Address>()?; // update authority
    reader.take::<Address>()?; // mint
    for _ in ["name", "symbol", "uri"] {
        reader.text()?;
    }
    reader.take::<u16>()?; // seller's fee
    if reader.flag()? {
        for _ in 0..reader.take::<u32>()? {
            reader.take::<Address>()?;
            reader.flag()?;
            reader.take::<u8>()?;
        }
    }
    reader.flag()?; // primary sale happened
    reader.flag()?; // is mutable
    if reader.flag()? {
        reader.take::<u8>()?; // edition nonce
    }
    if reader.flag()? {
        reader.up_to(LAST_STANDARD)?;
    }
    let collection = if reader.flag()? {
        let verified = reader.flag()?;
        let key = reader.take::<Address>()?;
        verified.then_some(key)
    } else {
        None
    };
    if reader.flag()? {
        reader.up_to(LAST_USE)?;
        reader.take::<u64>()?;
        reader.take::<u64>()?;
    }
    collection
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<V: Value>(&mut self) -> Option<V> {
        self.bytes(V::SIZE).map(V::read)
    }

    /// A byte that says yes or no, also whether an optional value follows.
    fn flag(&mut self) -> Option<bool> {
        self.up_to(1).map(|byte| byte == 1)
    }

    fn up_to(&mut self, largest: u8) -> Option<u8> {
        self.take::<u8>().filter(|&byte| byte <= largest)
    }

    fn text(&mut self) -> Option<()> {
        let length = self.take::<u32>()? as usize;
        core::str::from_utf8(self.bytes(length)?).ok()?;
        Some(())
    }

    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        if self.rest.len() < count {
            return None;
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Some(taken)
    }
}
