"""Known ways out of a container, and whether the software of this host is open to them."""
