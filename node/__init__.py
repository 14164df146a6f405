"""gpunode: a node agent for a Solana GPU job market (the Nosana network's programs and protocol)."""

__version__ = "0.1.0"
