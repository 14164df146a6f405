#![no_std]
common::program!(common::cluster::NODES, {
    0xffffffffffffffff "None" => none,
});
fn none(_: common::Loader, _: common::Args) -> common::ProgramResult {
    Ok(())
}
