"""Solana: clusters, addresses, program codecs, RPC, subscriptions, wallet, spending policy and outbox."""
