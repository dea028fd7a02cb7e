"""The generalised energy distance between images and draws of their pixels: the original's ``-ed`` loss.

With d(x, y) = |127.5 (x - y)|^1.5, the distance of two pixels over their channels, a data set's pixels x and draws x',
x'' of the model,

    2 E d(x, x') - E d(x', x'')

is smallest where the draws have the distribution of the data (Szekely and Rizzo 2013, with the exponent 1.5 of (0, 2)).
It needs no density.
"""

from torch import Tensor

# Half of 256 levels. It is kept whatever the number of levels, which the formula does not know: it multiplies the loss
# by a constant, next to which the 1e-10 that keeps gradients finite would otherwise not always vanish, and data sets of
# different levels stay comparable.
HALF_RANGE = 127.5


def energy_distance(x: Tensor, samples: Tensor) -> Tensor:
    """The loss of each image, (N,), summed over its pixels; the sum over N is the original's loss.

    x (N, C, H, W) and S >= 2 independent draws of each pixel given those before it, samples (S, N, C, H, W), all in
    [-1, 1]. The second expectation is the mean over the S (S-1) / 2 pairs of draws. The unit is grey levels of 256 to
    the power 1.5.
    """
    num_samples = len(samples)
    to_data = _distances(samples - x).mean(dim=0)
    among_samples = sum(_distances(samples[i + 1 :] - samples[i]).sum(dim=0) for i in range(num_samples - 1))
    return 2 * to_data - among_samples / (num_samples * (num_samples - 1) / 2)


def _distances(differences: Tensor) -> Tensor:
    """|differences|^1.5 over the channels, summed over the pixels: (S, N, C, H, W) to (S, N)."""
    return (1e-10 + (HALF_RANGE * differences).square().sum(dim=2)).pow(0.75).sum(dim=(2, 3))
