"""Content-addressed bytes: CIDs, Merkle roots, and where bytes live (stores and sources)."""
