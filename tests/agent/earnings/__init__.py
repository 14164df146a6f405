"""Earnings, as pure functions of what the journal has."""
