//! The accounts of the program: market, job, run.

use common::{
    cluster::{JOBS, NOS},
    layout::Hash,
    state, Account, Address, Loaded, Outcome, Seed,
};

use crate::queue;

/// A market of this type never queues anything.
pub const TYPE_UNKNOWN: u8 = 255;
/// The largest job type a market can be opened with, apart from `TYPE_UNKNOWN`.
pub const TYPE_GPU: u8 = 4;

/// States of a job. A running job is still queued: that a run exists says it runs.
pub const QUEUED: u8 = 0;
pub const DONE: u8 = 2;
pub const STOPPED: u8 = 3;

/// What a job holds until it has a result.
pub const NO_RESULT: Hash = [0; 32];

state! {
    /// A price per second (1e-6 NOS) and a queue of jobs or of nodes.
    Market {
        owner: JOBS,
        discriminator: 0xc94ebbe1f0c6c9fb,
        space: 10_224,
        fixed: 151 then queue::fits,
        AUTHORITY: Address = 8,
        JOB_EXPIRATION: i64 = 40,
        JOB_PRICE: u64 = 48,
        JOB_TIMEOUT: i64 = 56,
        JOB_TYPE: u8 = 64,
        VAULT: Address = 65,
        VAULT_BUMP: u8 = 97,
        ACCESS_KEY: Address = 98,
        XNOS_MINIMUM: u128 = 130,
        QUEUE_TYPE: u8 = 146,
        QUEUE_LENGTH: u32 = 147,
    }
}

state! {
    /// What a poster pays for.
    Job {
        owner: JOBS,
        discriminator: 0x5b10a2052dd27d41,
        space: 240,
        fixed: 233,
        IPFS_JOB: Hash = 8,
        IPFS_RESULT: Hash = 40,
        MARKET: Address = 72,
        NODE: Address = 104,
        PAYER: Address = 136,
        PRICE: u64 = 168,
        PROJECT: Address = 176,
        STATE: u8 = 208,
        TIME_END: i64 = 209,
        TIME_START: i64 = 217,
        TIMEOUT: i64 = 225,
    }
}

state! {
    /// A node's work on a job. Its state byte stays 0.
    Run {
        owner: JOBS,
        discriminator: 0xc2a96ee6eb0be116,
        space: 120,
        fixed: 113,
        JOB: Address = 8,
        NODE: Address = 40,
        PAYER: Address = 72,
        TIME: i64 = 105,
    }
}

/// Fills a run that was just created.
pub fn start_run(run: &Loaded<Run>, job: Address, node: Address, payer: &Account) -> Outcome<()> {
    run.set(Run::JOB, job);
    run.set(Run::NODE, node);
    run.set(Run::PAYER, *payer.key());
    run.set(Run::TIME, common::now()?);
    Ok(())
}

/// What the market's vault signs with: its market, the mint and its bump.
pub struct VaultKey {
    market: Address,
    bump: [u8; 1],
}

impl VaultKey {
    pub fn of(market: &Loaded<Market>) -> Self {
        Self {
            market: *market.key(),
            bump: [market.get(Market::VAULT_BUMP)],
        }
    }

    pub fn seeds(&self) -> [Seed<'_>; 3] {
        [
            Seed::from(self.market.as_ref()),
            Seed::from(NOS.as_array()),
            Seed::from(&self.bump),
        ]
    }
}
