"""Money: what was earned and spent, what a second of work costs, how long the SOL lasts. Integers throughout."""
