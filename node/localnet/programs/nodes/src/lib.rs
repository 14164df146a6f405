//! The nodes program: what a host says of itself.
#![no_std]

mod country;
mod error;
mod instructions;
mod profile;
mod state;

common::program!(common::cluster::NODES, {
    0xd37c430fd3c2b2f0 "Register" => instructions::register,
    0xdbc858b09e3ffd7f "Update" => instructions::update,
    0x73eb2601733ada51 "Audit" => instructions::audit,
});
