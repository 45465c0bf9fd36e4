"""Running for real on this machine: the loop with its hands, the state directory, and who may talk to it."""
