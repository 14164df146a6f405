//! The staking program: NOS locked for a duration, weighed as xNOS.
#![no_std]

mod error;
mod instructions;
mod state;
mod weight;

use instructions as on;

common::program!(common::cluster::STAKING, {
    0xdc3bcfec6cfa2f64 "Init" => on::settings::init,
    0x51a633d59e549d6c "UpdateSettings" => on::settings::update,
    0xceb0ca12c8d1b36c "Stake" => on::stake::run,
    0x7e2a314ee197634d "Topup" => on::topup::run,
    0xe47f0001e39a36a8 "Extend" => on::extend::run,
    0x5a5f6b2acd7c32e1 "Unstake" => on::unstake::run,
    0x61a1f1a70620d535 "Restake" => on::restake::run,
    0xb712469c946da122 "Withdraw" => on::withdraw::run,
    0x62a5c9b16c41ce60 "Close" => on::close::run,
    0xcc8d12a108b15c8e "Slash" => on::slash::run,
});
