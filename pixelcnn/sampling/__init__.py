"""Sampling pixel by pixel, with every activation computed once if the network has a topology."""

from pixelcnn.sampling import masked_steppers, residual_steppers  # noqa: F401  kinds of nodes get their steppers
