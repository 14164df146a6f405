"""The container engine: the contract, Docker, the isolation profile, logs and the run of one operation."""
