//! The jobs program: markets, their queues, jobs, and the runs of nodes on them.
#![no_std]

mod access;
mod error;
mod instructions;
mod metadata;
mod queue;
mod settlement;
mod state;

use instructions as on;

common::program!(common::cluster::JOBS, {
    0xe4dc9b47c7bd3c2d "Open" => on::open::run,
    0xdbc858b09e3ffd7f "Update" => on::update::run,
    0x62a5c9b16c41ce60 "Close" => on::close::by_owner,
    0xcab6b98ed0a191bd "CloseAdmin" => on::close::by_admin,
    0x36aec14311298426 "List" => on::list::run,
    0x49427dcb51294087 "Assign" => on::assign::run,
    0x3788cd6b6bad041f "Delist" => on::delist::run,
    0xe47f0001e39a36a8 "Extend" => on::extend::run,
    0xb4a0f9d9c2794610 "End" => on::end::run,
    0x6cd8263a6d927411 "Recover" => on::recover::run,
    0x0f432dc3d789e52f "Work" => on::work::run,
    0x2a85203cabfdb89b "Stop" => on::stop::run,
    0x3ec6d6c1d59f6cd2 "Claim" => on::claim::run,
    0x434aaa847de9b625 "Finish" => on::finish::run,
    0x004de0938819584c "Complete" => on::complete::run,
    0xbf678df050816799 "Quit" => on::quit::by_node,
    0x67ee6e08b61438c4 "QuitAdmin" => on::quit::by_admin,
    0xfabf388096fb0167 "Clean" => on::clean::when_expired,
    0xf55abc44fdebab69 "CleanAdmin" => on::clean::by_admin,
});
