"""Faults on demand: what a cluster, its endpoints and their sockets do to their users on a bad day."""
