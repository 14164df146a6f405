"""Instructions of the Nosana jobs program that a poster, a node or anyone sends."""

from __future__ import annotations

from solders.instruction import AccountMeta, Instruction

from node.chain import addresses
from node.chain.clusters import Cluster
from node.chain.instructions.build import anchor, i64, reads, signs, signs_and_writes, writes
from node.records import Address, Cid


def list_job(
    cluster: Cluster,
    *,
    job: Address,
    run: Address,
    market: Address,
    payer: Address,
    authority: Address,
    definition: Cid,
    timeout: int,
    user: Address | None = None,
) -> Instruction:
    """Post a job, or hand it to the first waiting node; deposits price × `timeout` seconds from `user`.

    `job` and `run` are fresh keys that sign; `authority` becomes the job's project; `user` defaults to the payer's
    NOS account.
    """
    metas = [signs_and_writes(job), writes(market), signs_and_writes(run)]
    return anchor(
        cluster.jobs,
        "list",
        metas + _posting(cluster, market, payer, authority, user),
        addresses.cid_to_hash(definition) + i64(timeout),
    )


def assign_job(
    cluster: Cluster,
    *,
    job: Address,
    run: Address,
    market: Address,
    node: Address,
    payer: Address,
    authority: Address,
    definition: Cid,
    timeout: int,
    user: Address | None = None,
) -> Instruction:
    """Post a job to one node of the queue; otherwise as `list_job`."""
    metas = [signs_and_writes(job), writes(market), signs_and_writes(run), reads(node)]
    return anchor(
        cluster.jobs,
        "assign",
        metas + _posting(cluster, market, payer, authority, user),
        addresses.cid_to_hash(definition) + i64(timeout),
    )


def _posting(
    cluster: Cluster, market: Address, payer: Address, authority: Address, user: Address | None
) -> list[AccountMeta]:
    """The accounts that list and assign end with."""
    return [
        writes(user or addresses.token_account(cluster, payer)),
        writes(addresses.market_vault(cluster, market)),
        signs_and_writes(payer),
        writes(addresses.rewards_reflection(cluster)),
        writes(addresses.rewards_vault(cluster)),
        signs(authority),
        reads(cluster.rewards),
        reads(cluster.token),
        reads(cluster.system),
    ]


def extend_job(
    cluster: Cluster,
    *,
    job: Address,
    market: Address,
    authority: Address,
    payer: Address,
    timeout: int,
    user: Address | None = None,
) -> Instruction:
    """Set a job's timeout to a new, greater total in seconds; deposits the price of the difference."""
    return anchor(
        cluster.jobs,
        "extend",
        [
            writes(job),
            reads(market),
            writes(user or addresses.token_account(cluster, payer)),
            writes(addresses.market_vault(cluster, market)),
            writes(addresses.rewards_reflection(cluster)),
            writes(addresses.rewards_vault(cluster)),
            signs(authority),
            signs(payer),
            reads(cluster.rewards),
            reads(cluster.token),
        ],
        i64(timeout),
    )


def delist_job(
    cluster: Cluster,
    *,
    job: Address,
    market: Address,
    payer: Address,
    authority: Address,
    deposit: Address | None = None,
) -> Instruction:
    """Take a waiting job out of the queue and get the whole deposit back; the job account closes."""
    return anchor(
        cluster.jobs,
        "delist",
        [
            writes(job),
            writes(market),
            writes(deposit or addresses.token_account(cluster, payer)),
            writes(payer),
            writes(addresses.market_vault(cluster, market)),
            reads(cluster.token),
            signs_and_writes(authority),
        ],
    )


def end_job(
    cluster: Cluster,
    *,
    job: Address,
    market: Address,
    run: Address,
    payer_job: Address,
    payer_run: Address,
    node: Address,
    authority: Address,
    deposit: Address | None = None,
    user: Address | None = None,
) -> Instruction:
    """Stop a running job as its poster: pays the node for the time used, refunds the rest, closes the run."""
    return anchor(
        cluster.jobs,
        "end",
        [
            writes(job),
            reads(market),
            writes(run),
            writes(deposit or addresses.token_account(cluster, payer_job)),
            writes(user or addresses.token_account(cluster, node)),
            writes(addresses.market_vault(cluster, market)),
            writes(payer_run),
            signs_and_writes(authority),
            reads(cluster.token),
        ],
    )


def recover_job(
    cluster: Cluster,
    *,
    job: Address,
    market: Address,
    payer: Address,
    authority: Address,
    user: Address | None = None,
) -> Instruction:
    """Get the deposit of a job that a node quit (state 3) back; the job account closes."""
    return anchor(
        cluster.jobs,
        "recover",
        [
            writes(job),
            reads(market),
            writes(addresses.market_vault(cluster, market)),
            writes(user or addresses.token_account(cluster, payer)),
            writes(payer),
            signs(authority),
            reads(cluster.token),
        ],
    )


def clean_job(cluster: Cluster, *, job: Address, market: Address, payer: Address) -> Instruction:
    """Close a finished job's account once the market's expiration has passed; its rent goes to its payer."""
    return anchor(cluster.jobs, "clean", [writes(job), reads(market), writes(payer)])


def work(
    cluster: Cluster,
    *,
    run: Address,
    market: Address,
    authority: Address,
    payer: Address | None = None,
    nft: Address | None = None,
    nft_mint: Address | None = None,
) -> Instruction:
    """Take the first waiting job, or join the queue of nodes.

    `run` is a fresh key that signs even when no run comes of it. `nft` is the token account of the access key and
    `nft_mint` its mint; where the market asks for no key, the node's NOS account stands in and must exist.
    """
    return anchor(
        cluster.jobs,
        "work",
        [
            signs_and_writes(run),
            writes(market),
            signs_and_writes(payer or authority),
            reads(addresses.stake_account(cluster, authority)),
            reads(nft or addresses.token_account(cluster, authority)),
            reads(_metadata(cluster, nft_mint)),
            signs(authority),
            reads(cluster.system),
        ],
    )


def claim(
    cluster: Cluster,
    *,
    job: Address,
    run: Address,
    market: Address,
    authority: Address,
    payer: Address | None = None,
    nft: Address | None = None,
    nft_mint: Address | None = None,
) -> Instruction:
    """Take over a job that another node quit (state 3). Arguments as for `work`."""
    return anchor(
        cluster.jobs,
        "claim",
        [
            writes(job),
            signs_and_writes(run),
            reads(market),
            reads(addresses.stake_account(cluster, authority)),
            reads(nft or addresses.token_account(cluster, authority)),
            reads(_metadata(cluster, nft_mint)),
            signs_and_writes(payer or authority),
            signs(authority),
            reads(cluster.system),
        ],
    )


def _metadata(cluster: Cluster, nft_mint: Address | None) -> Address:
    return cluster.system if nft_mint is None else addresses.metadata_account(cluster, nft_mint)


def stop(cluster: Cluster, *, market: Address, node: Address, authority: Address | None = None) -> Instruction:
    """Take a node out of the queue, as the node itself or as the market's authority."""
    return anchor(cluster.jobs, "stop", [writes(market), reads(node), signs(authority or node)])


def finish(
    cluster: Cluster,
    *,
    job: Address,
    run: Address,
    market: Address,
    payer_run: Address,
    payer_job: Address,
    authority: Address,
    user: Address,
    result: Cid,
    deposit: Address | None = None,
) -> Instruction:
    """Store the result, pay any NOS account `user`, refund `deposit`, close the run.

    `deposit` defaults to the NOS account of the job's payer; for a market without a price any NOS account will do,
    the vault for instance. This is the order of the programs of July 2026 (10 accounts).
    """
    return anchor(
        cluster.jobs,
        "finish",
        [
            *_finishing(cluster, job, run, market, deposit or addresses.token_account(cluster, payer_job), user),
            writes(payer_run),
            writes(payer_job),
            signs(authority),
            reads(cluster.token),
        ],
        addresses.cid_to_hash(result),
    )


def finish_older(
    cluster: Cluster,
    *,
    job: Address,
    run: Address,
    market: Address,
    payer_run: Address,
    payer_job: Address,
    project: Address,
    authority: Address,
    user: Address,
    result: Cid,
    deposit: Address | None = None,
) -> Instruction:
    """As `finish`, in the older order of accounts: the job's payer first, and the project (11 accounts)."""
    return anchor(
        cluster.jobs,
        "finish",
        [
            *_finishing(cluster, job, run, market, deposit or addresses.token_account(cluster, payer_job), user),
            writes(payer_job),
            writes(payer_run),
            writes(project),
            signs(authority),
            reads(cluster.token),
        ],
        addresses.cid_to_hash(result),
    )


def _finishing(
    cluster: Cluster, job: Address, run: Address, market: Address, deposit: Address, user: Address
) -> list[AccountMeta]:
    """The accounts that every form of finish begins with."""
    vault = addresses.market_vault(cluster, market)
    return [writes(job), writes(run), reads(market), writes(vault), writes(deposit), writes(user)]


def complete(cluster: Cluster, *, job: Address, authority: Address, result: Cid) -> Instruction:
    """Store the result of a job that its poster ended; no tokens move."""
    metas = [writes(job), signs(authority)]
    return anchor(cluster.jobs, "complete", metas, addresses.cid_to_hash(result))


def quit_run(cluster: Cluster, *, job: Address, run: Address, payer_run: Address, authority: Address) -> Instruction:
    """Give a job back unpaid: the job's state becomes 3, the run closes to who paid for it."""
    return anchor(cluster.jobs, "quit", [writes(job), writes(run), writes(payer_run), signs(authority)])
