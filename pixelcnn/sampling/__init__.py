"""Drawing images pixel by pixel, with every activation computed once where the network's topology allows it."""

from pixelcnn.sampling import masked_steppers, residual_steppers  # noqa: F401  kinds of nodes get their steppers
