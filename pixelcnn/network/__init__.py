"""Networks: modules that map images to the parameters of every pixel's distribution, one kind per file.

A network is any ``nn.Module`` with ``forward(x, h) -> (N, P, H, W)``, where x (N, C, H, W) holds values in [-1, 1] and
h is None, (N, D) or (N, D, H, W). If it has an attribute ``embedding``, a `LevelEmbedding` with E features, x holds the
embedded levels instead, (N, C E, H, W). Besides its own keys, its constructor may have the arguments

    image_channels, num_parameters (P), num_groups (of channels, see `pixelcnn.network.topology`),
    condition_features (D), image_levels

which the model passes. A `Network` has a topology and is sampled with caches; other networks are sampled with one
forward pass per pixel. For ``likelihood.spread=true`` a network needs a method
``start_at(parameters)``, as `Network` has: it makes every pixel's output start near ``parameters`` (P,).
"""

from pixelcnn.network.embedding import LevelEmbedding
from pixelcnn.network.gated_pixelcnn import GatedPixelCNN
from pixelcnn.network.parallel import Network
from pixelcnn.network.pixelcnn import PixelCNN
from pixelcnn.network.pixelcnn_pp import PixelCNNPP
from pixelcnn.network.pixelsnail import PixelSNAIL

__all__ = ["GatedPixelCNN", "LevelEmbedding", "Network", "PixelCNN", "PixelCNNPP", "PixelSNAIL"]
