"""Instructions of the market programs and of the SPL programs beside them, one typed function each.

Account order and flags are those of the programs' published interfaces (Nosana jobs, nodes, staking, rewards).
"""
