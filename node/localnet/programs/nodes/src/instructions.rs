use common::{
    cluster::{require_network_authority, NODES},
    creation::create,
    error::UNAUTHORIZED,
    Args, Loader, ProgramResult, Seed,
};

use crate::{profile::Profile, state::Node};

const SEED: &[u8] = b"node";

/// Creates the account of a node; somebody else may pay for it.
#[inline(never)]
pub fn register(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let profile = Profile::take(&mut args)?;

    let node = accounts.fresh("node")?;
    let payer = accounts.signer("payer")?;
    let authority = accounts.signer("authority")?;
    accounts.system_program()?;

    let owner = *authority.key();
    let bump = [node.require_seeds(&[SEED, owner.as_ref()], &NODES)?];
    let seeds = [
        Seed::from(SEED),
        Seed::from(owner.as_ref()),
        Seed::from(&bump),
    ];
    let node = create::<Node>(node, &payer, &seeds)?;
    payer.writable()?;

    node.set(Node::AUTHORITY, owner);
    profile.store(&node)
}

#[inline(never)]
pub fn update(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let profile = Profile::take(&mut args)?;

    let node = accounts.state::<Node>("node")?;
    let authority = accounts.signer("authority")?;

    node.writable()?;
    node.has_one(Node::AUTHORITY, &authority, &UNAUTHORIZED)?;

    profile.store(&node)
}

/// The network says whether it has looked at the node.
#[inline(never)]
pub fn audit(mut accounts: Loader, mut args: Args) -> ProgramResult {
    let audited = args.flag()?;

    let node = accounts.state::<Node>("node")?;
    let authority = accounts.signer("authority")?;

    node.writable()?;
    require_network_authority(&authority)?;

    node.set(Node::AUDITED, audited as u8);
    Ok(())
}
