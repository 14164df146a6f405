//! A market's queue: keys of waiting jobs or of waiting nodes, in order of arrival, at the
//! end of the market account.

use common::{error::NOT_ENCODED, layout::Value, Address, Loaded, ProgramResult};

use crate::state::Market;

pub const OF_JOBS: u8 = 0;
pub const OF_NODES: u8 = 1;
pub const EMPTY: u8 = 255;

const START: usize = 151;
const ENTRY: usize = Address::SIZE;

pub struct Queue<'a> {
    market: Loaded<'a, Market>,
}

impl<'a> Queue<'a> {
    pub fn of(market: &Loaded<'a, Market>) -> Self {
        Self { market: *market }
    }

    pub fn holds(&self, kind: u8) -> bool {
        self.market.get(Market::QUEUE_TYPE) == kind
    }

    pub fn position(&self, key: &Address) -> Option<usize> {
        (0..self.len()).find(|&index| self.entry(index) == *key)
    }

    /// The first entry, taken out.
    pub fn pop(&self) -> Address {
        let first = self.entry(0);
        self.remove(0);
        first
    }

    /// Later entries move up. The bytes after the new last entry keep what they held, as
    /// they do where the network's programs write a shorter queue over a longer one.
    pub fn remove(&self, index: usize) {
        let length = self.len();
        assert!(index < length);
        let (hole, end) = (START + index * ENTRY, START + length * ENTRY);
        self.market.bytes_mut().copy_within(hole + ENTRY..end, hole);
        self.market.set(Market::QUEUE_LENGTH, length as u32 - 1);
        if length == 1 {
            self.market.set(Market::QUEUE_TYPE, EMPTY);
        }
    }

    /// Call it last: a full queue is noticed when the account is written, after
    /// everything else has been done.
    pub fn push(&self, key: &Address, kind: u8) -> ProgramResult {
        let length = self.len();
        let end = START + length * ENTRY;
        let data = self.market.bytes_mut();
        self.market
            .require(end + ENTRY <= data.len(), &NOT_ENCODED)?;
        key.write(&mut data[end..end + ENTRY]);
        self.market.set(Market::QUEUE_LENGTH, length as u32 + 1);
        self.market.set(Market::QUEUE_TYPE, kind);
        Ok(())
    }

    fn len(&self) -> usize {
        self.market.get(Market::QUEUE_LENGTH) as usize
    }

    fn entry(&self, index: usize) -> Address {
        let start = START + index * ENTRY;
        Address::read(&self.market.data()[start..start + ENTRY])
    }
}

/// Whether the entries that the length counts are there.
pub fn fits(data: &[u8]) -> bool {
    let length = u32::read(&data[Market::QUEUE_LENGTH.offset..START]) as usize;
    length <= (data.len() - START) / ENTRY
}
