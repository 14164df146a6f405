"""GPUs of this host: inventory, telemetry and energy, each driver call in a helper process."""
