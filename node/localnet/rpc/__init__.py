"""The JSON-RPC methods of the embedded chain, one table per noun."""
