"""Whether this host can serve: what is looked at, what follows from it, and what stands in the way of the next job."""
