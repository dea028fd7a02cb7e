"""What sweeps minimise and their tables show: one number of a finished run."""

from collections.abc import Mapping

# The first one that a run has.
NAMES = ("val/bits_per_dim", "test/bits_per_dim")


def objective(metrics: Mapping[str, float]) -> tuple[str, float] | None:
    """Name and value of the objective in a run's ``metrics.json``; None for tasks that score nothing."""
    return next(((name, metrics[name]) for name in NAMES if name in metrics), None)
