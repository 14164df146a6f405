"""Earnings checked against the chain by a script that shares no code with the product."""
