"""Sampling pixel by pixel, with every activation computed once if the network has a topology."""

# Kinds of nodes get their steppers.
from pixelcnn.sampling import attention_steppers, masked_steppers, residual_steppers  # noqa: F401
