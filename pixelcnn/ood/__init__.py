"""Out-of-distribution detection: scores of images under a model, and how well a score separates two sets.

A score is a function of a model and images, uint8 (N, C, H, W). It returns a map of its contributions, (N, C, H, W) in
bits, whose mean is the image's score in bits/dim: the higher, the further from the model's images.
"""

from pixelcnn.ood.codecs import codec_bits
from pixelcnn.ood.detection import Detection, detection
from pixelcnn.ood.grouping import of_batches, of_images
from pixelcnn.ood.scores import input_complexity, likelihood, likelihood_ratio, reference_of, typicality

__all__ = [
    "Detection",
    "codec_bits",
    "detection",
    "input_complexity",
    "likelihood",
    "likelihood_ratio",
    "of_batches",
    "of_images",
    "reference_of",
    "typicality",
]
