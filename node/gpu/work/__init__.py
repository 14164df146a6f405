"""The GPU work proof: int8 matrix products that nobody could have made before a given block.

What it proves: that whoever holds the node's key had at least so many exact int8 products made between two moments of
the chain. What it does not: which device made them, where it stands, or that it made them for one key only. How it is
made is in `challenge.py` (what is bound), `hashes.py` (every hash), `stream.py` (the matrices), `prover.py`;
how it is checked in `node.proof.work`.
"""
