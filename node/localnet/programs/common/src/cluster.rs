//! Addresses the programs are compiled with.

use crate::{error::UNAUTHORIZED, Account, Address, ProgramResult};

macro_rules! addresses {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)+) => {
        $($(#[$doc])* pub const $name: Address = Address::from_str_const($text);)+
    };
}

addresses! {
    SYSTEM = "11111111111111111111111111111111";
    CLOCK_SYSVAR = "SysvarC1ock11111111111111111111111111111111";
    RENT_SYSVAR = "SysvarRent111111111111111111111111111111111";
    TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
    ASSOCIATED_TOKEN = "ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL";
    METAPLEX = "metaqbxxUerdq28cj1RbAWkYQm3ybzjb6a8bt518x1s";
    NODES = "nosNeZR64wiEhQc5j251bsP4WqDabT6hmz4PHyoHLGD";
    REWARDS = "nosRB8DUV67oLNrL45bo2pFLrmsWPiewe2Lk2DRNYCp";
    STAKING = "nosScmHY2uR24Zh751PmGj9ww9QRNHewh9H59AfrTJE";
    /// Stands in for `MARKET_ADMIN`, whose secret only its owner has: a localnet must be
    /// able to sign. The key of the seed SHA-256("gpunode localnet market admin").
    LOCAL_MARKET_ADMIN = "a8r6pLptgvDN1sCxZH1B2BzSEtLM1GEmjzpi55sHGN5";
    /// Stands in for `NETWORK_AUTHORITY`: the key of the seed
    /// SHA-256("gpunode localnet network authority").
    LOCAL_NETWORK_AUTHORITY = "ADZcQh8hWyFfpyDmS1wpjCst21t1t8AgohLnui1hR3mr";
}

#[cfg(feature = "devnet")]
addresses! {
    JOBS = "nosJTmGQxvwXy23vng5UjkTbfv91Bzf9jEuro78dAGR";
    NOS = "devr1BGQndEW5k5zfvG5FsLyZv1Ap73vNgAHcQ9sUVP";
    /// May close any market, run and job.
    MARKET_ADMIN = "XXXxddiNnmoD2h2LbQYaL76Swi21MaQbtBbRynAdQL8";
    /// Audits nodes and owns the first staking settings.
    NETWORK_AUTHORITY = "XXXxddiNnmoD2h2LbQYaL76Swi21MaQbtBbRynAdQL8";
    /// Where slashed tokens go until the settings are updated.
    SLASH_TARGET = "HLtABkKqsUjb4ECPEnvad6HN7QYf6ANHahAeZQXrAGgV";
}

#[cfg(feature = "mainnet")]
addresses! {
    JOBS = "nosJhNRqr2bc9g1nfGDcXXTXvYUmxD4cVwy2pMWhrYM";
    NOS = "nosXBVoaCTtYdLvKY6Csb4AC8JCdQKKAaWYtx2ZMoo7";
    /// May close any market, run and job.
    MARKET_ADMIN = "AdmMVMMU3po5BP3bVWsF9GgN6NNEfpfxpTDGTzjgb72S";
    /// Audits nodes and owns the first staking settings.
    NETWORK_AUTHORITY = "NosanarMxfrZbyCx5CotBVrzxiPcrnhj6ickpX9vRkB";
    /// Where slashed tokens go until the settings are updated.
    SLASH_TARGET = "A9V8JkR5HihvFpHq1ZbwrpPAGBhsGfeWw5TVcUdGf2dg";
}

/// The signer must be the administrator of all markets.
pub fn require_market_admin(authority: &Account) -> ProgramResult {
    if *authority.key() == LOCAL_MARKET_ADMIN {
        return Ok(());
    }
    authority.require_key(&MARKET_ADMIN, &UNAUTHORIZED)
}

/// The signer must be the authority of the network.
pub fn require_network_authority(authority: &Account) -> ProgramResult {
    if *authority.key() == LOCAL_NETWORK_AUTHORITY {
        return Ok(());
    }
    authority.require_key(&NETWORK_AUTHORITY, &UNAUTHORIZED)
}
