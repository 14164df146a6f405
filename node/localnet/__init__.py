"""The embedded Solana chain with the market programs, a content store and a faucet.

Stands beside the stack: the command line and the tests use it, nothing else does.
"""
