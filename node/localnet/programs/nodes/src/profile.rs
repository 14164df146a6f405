//! What `register` and `update` are given.

use common::{ensure, error::NOT_ENCODED, layout::Value, Args, Loaded, Outcome, ProgramResult};

use crate::{
    country,
    error::{
        ARCHITECTURE_UNKNOWN, COUNTRY_UNKNOWN, CPU_INVALID, IOPS_INVALID, MEMORY_INVALID,
        STORAGE_INVALID,
    },
    state::{Node, STRINGS},
};

/// Architectures are numbered from 0 (amd64) to this (i386).
const LAST_ARCHITECTURE: u8 = 9;

pub struct Profile<'a> {
    architecture: u8,
    country: u16,
    cpu: u16,
    gpu: u16,
    memory: u16,
    iops: u16,
    storage: u16,
    /// Endpoint, icon, version.
    strings: [&'a str; 3],
}

impl<'a> Profile<'a> {
    pub fn take(args: &mut Args<'a>) -> Outcome<Self> {
        Ok(Self {
            architecture: args.take()?,
            country: args.take()?,
            cpu: args.take()?,
            gpu: args.take()?,
            memory: args.take()?,
            iops: args.take()?,
            storage: args.take()?,
            strings: [args.text()?, args.text()?, args.text()?],
        })
    }

    /// Checks the profile and writes it. That the strings are too long is noticed last,
    /// when the account is written.
    pub fn store(&self, node: &Loaded<Node>) -> ProgramResult {
        ensure!(self.architecture <= LAST_ARCHITECTURE, ARCHITECTURE_UNKNOWN);
        ensure!(country::is_known(self.country), COUNTRY_UNKNOWN);
        ensure!(self.cpu > 0, CPU_INVALID);
        ensure!(self.memory > 0, MEMORY_INVALID);
        ensure!(self.iops > 0, IOPS_INVALID);
        ensure!(self.storage > 0, STORAGE_INVALID);
        node.set(Node::ARCHITECTURE, self.architecture);
        node.set(Node::COUNTRY, self.country);
        node.set(Node::CPU, self.cpu);
        node.set(Node::GPU, self.gpu);
        node.set(Node::MEMORY, self.memory);
        node.set(Node::IOPS, self.iops);
        node.set(Node::STORAGE, self.storage);
        self.store_strings(node)
    }

    fn store_strings(&self, node: &Loaded<Node>) -> ProgramResult {
        let lengths = self.strings.iter().map(|string| u32::SIZE + string.len());
        let fits = STRINGS + lengths.sum::<usize>() <= node.data().len();
        node.require(fits, &NOT_ENCODED)?;
        let data = node.bytes_mut();
        let mut start = STRINGS;
        for string in self.strings {
            let text = start + u32::SIZE;
            let end = text + string.len();
            (string.len() as u32).write(&mut data[start..text]);
            data[text..end].copy_from_slice(string.as_bytes());
            start = end;
        }
        Ok(())
    }
}
