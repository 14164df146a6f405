"""Every fact that must survive, in SQLite."""
