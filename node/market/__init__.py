"""What the agent wants from a market: prepare the wallet, join, watch, settle, register the host.

Not here: how bytes reach the chain (node/chain), and what a lane does next (node/agent).
"""
