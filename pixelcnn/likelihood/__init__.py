"""Likelihoods: the distribution of a pixel given its parameters, one kind per file."""

from pixelcnn.likelihood.categorical import Categorical
from pixelcnn.likelihood.discretized_logistic_mixture import DiscretizedLogisticMixture
from pixelcnn.likelihood.implicit import Implicit
from pixelcnn.likelihood.logistic_mixture import LogisticMixture
from pixelcnn.likelihood.protocol import Likelihood

__all__ = ["Categorical", "DiscretizedLogisticMixture", "Implicit", "Likelihood", "LogisticMixture"]
