"""PixelSNAIL as its authors' code computes it, written out in numpy: channels last, float64.

It follows `_base_noup_smallkey_spec` of neocxi/pixelsnail-public, reads the variables in the order in which that makes
them, and knows nothing of the project's topology.
"""

import numpy as np

from tests.original.reference import DOWN_RIGHT, Reference, down_shift, elu, right_shift

IN_ROW, IN_COLUMN = (0, 0, 1, 1), (1, 0, 0, 0)  # zeros above, below, left, right


class SnailReference(Reference):
    """``epsilon`` is what the authors add to the sum of attention's weights, 1e-6."""

    def __init__(self, variables, num_attention_blocks, num_resnet_blocks, num_key_features, epsilon):
        super().__init__(variables, num_resnet_blocks, "elu")
        self.attention_blocks, self.key_features, self.epsilon = num_attention_blocks, num_key_features, epsilon

    def __call__(self, x: np.ndarray, h: np.ndarray | None = None) -> np.ndarray:
        """x (N, H, W, 3) in [-1, 1], h (N, D) or None; returns (N, H, W, 10 M)."""
        self.made, self.h = {}, h
        n, height, width, channels = x.shape
        background = np.zeros((n, height, width, 2 * channels))
        background[..., :channels] = ((np.arange(height) - height / 2) / height)[:, None, None]
        background[..., channels:] = ((np.arange(width) - width / 2) / width)[:, None]
        padded = np.concatenate([x, np.ones_like(x[..., :1])], axis=-1)
        ul = down_shift(self.conv(padded, IN_ROW)) + right_shift(self.conv(padded, IN_COLUMN))
        for _ in range(self.attention_blocks):
            for _ in range(self.blocks):
                ul = self.block(ul, None, DOWN_RIGHT)
            raw = self.dense(self.point_block(np.concatenate([x, ul, background], axis=-1), None))
            key, mixin = np.split(raw, [self.key_features], axis=-1)
            query = self.dense(self.point_block(np.concatenate([ul, background], axis=-1), None))
            ul = self.point_block(ul, self.attention(query, key, mixin))
        return self.dense(elu(ul))

    def attention(self, query: np.ndarray, key: np.ndarray, mixin: np.ndarray) -> np.ndarray:
        """The mean of ``mixin`` over the pixels before each, none of them itself."""
        n, height, width, features = query.shape
        q, k, v = (a.reshape(n, height * width, -1) for a in (query, key, mixin))
        mean = np.zeros((n, height * width, v.shape[2]))
        for image in range(n):
            for p in range(1, height * width):
                logits = k[image, :p] @ q[image, p]
                weights = np.exp((logits - logits.max()) / np.sqrt(features))
                mean[image, p] = weights @ v[image, :p] / (weights.sum() + self.epsilon)
        return mean.reshape(n, height, width, -1)

    def point_block(self, x: np.ndarray, aux: np.ndarray | None) -> np.ndarray:
        c1 = self.dense(elu(x))
        if aux is not None:
            c1 = c1 + self.dense(elu(aux))
        a, b = np.split(self.dense(elu(c1)) + self.of_condition(), 2, axis=-1)
        return x + a / (1 + np.exp(-b))

    def of_condition(self) -> np.ndarray | float:
        if self.h is None:
            return 0.0
        term = (self.h @ self.next("conditional_weights", "hw"))[:, None, None]
        self.made["conditional_weights"] = self.made.get("conditional_weights", 0) + 1
        return term
