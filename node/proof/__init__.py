"""Proof of work: signed receipts and host cards, and checking them against the chain."""
