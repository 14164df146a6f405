"""What the agent offers over HTTP: the control socket for the command line of the same host."""
