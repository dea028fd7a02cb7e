"""How a run starts: its directory, devices, ranks, sweeps, and error messages for wrong input."""
