"""Breaks of one line, each of which the suite's fast part has to catch: `tests.mutation` applies them one at a time."""

from tests.breaks.data import DATA, FILES
from tests.breaks.kernels import KERNELS
from tests.breaks.likelihoods import LIKELIHOODS
from tests.breaks.networks import ATTENTION, CAUSALITY, NETWORKS, WALKS
from tests.breaks.one import Break
from tests.breaks.ood import OOD
from tests.breaks.optim import OPTIM
from tests.breaks.orders import ORDERS
from tests.breaks.training import TRAINING

__all__ = ["BREAKS", "Break"]

BREAKS = [
    *NETWORKS,
    *ATTENTION,
    *CAUSALITY,
    *WALKS,
    *KERNELS,
    *LIKELIHOODS,
    *TRAINING,
    *OPTIM,
    *DATA,
    *FILES,
    *OOD,
    *ORDERS,
]
