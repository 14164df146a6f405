"""The embedded chain and a real node with the same genesis answer the same requests the same."""
