"""What the owner of a job may ask of the host that runs it: HTTP, event streams and WebSocket."""
