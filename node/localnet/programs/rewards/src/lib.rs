//! The rewards program: fees spread over all stakes in proportion to their xNOS.
//!
//! A holder's share is kept as a reflection: xNOS times the rate at the time of entering.
//! A fee lowers the rate, and the same reflection is then worth more xNOS than before.
#![no_std]

mod instructions;
mod share;

common::program!(common::cluster::REWARDS, {
    0xdc3bcfec6cfa2f64 "Init" => instructions::init,
    0x8b31d172585b4d86 "Enter" => instructions::enter,
    0x43e1bdd4fd7b4c70 "AddFee" => instructions::add_fee,
    0x3ec6d6c1d59f6cd2 "Claim" => instructions::claim,
    0x04db28a4159dbd58 "Sync" => instructions::sync,
    0x62a5c9b16c41ce60 "Close" => instructions::close,
});
