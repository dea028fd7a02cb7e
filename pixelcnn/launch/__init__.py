"""How a run starts: its directory, devices and ranks, sweeps, and the sentences that wrong input ends in."""
