"""Likelihoods: the distribution of a pixel given its parameters, one kind per file.

Every likelihood has ``num_parameters`` (per pixel), ``num_uniforms`` (per drawn pixel), `scale` (levels to
the numbers that networks see), `log_prob`, `log_prob_by_channel` and `sample_levels`.
"""

from typing import Any

from pixelcnn.likelihood.discretized_logistic_mixture import DiscretizedLogisticMixture
from pixelcnn.options import ImageShape

Likelihood = DiscretizedLogisticMixture

LIKELIHOODS = {"discretized_logistic_mixture": DiscretizedLogisticMixture}


def build_likelihood(options: Any, image: ImageShape) -> Likelihood:
    """The likelihood that ``options`` (a dataclass of `pixelcnn.options`) describe, for images of this shape."""
    return LIKELIHOODS[options.name](options, image)
