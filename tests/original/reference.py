"""The original's network written out again in numpy: channels last, float64, a Python loop over every pixel.

It reads the original's variables in the order in which they are made and knows nothing of the project's topology.
"""

import numpy as np


class Reference:
    """`model_spec` of the original's model.py, for given variables; ``dropout`` is off."""

    def __init__(self, variables: dict[str, np.ndarray], num_resnet_blocks: int, nonlinearity: str) -> None:
        self.variables = {name: np.asarray(value, np.float64) for name, value in variables.items()}
        self.blocks, self.nonlinearity = num_resnet_blocks, nonlinearity
        self.made: dict[str, int] = {}

    def __call__(self, x: np.ndarray, h: np.ndarray | None = None) -> np.ndarray:
        """x (N, H, W, 3) in [-1, 1], h (N, classes) or None; returns (N, H, W, 10 M), or for ``-ed`` its features."""
        self.made, self.h = {}, h
        x = np.concatenate([x, np.ones_like(x[..., :1])], axis=-1)
        us = [down_shift(self.conv(x, pad=(1, 0, 1, 1)))]
        uls = [down_shift(self.conv(x, pad=(0, 0, 1, 1))) + right_shift(self.conv(x, pad=(1, 0, 0, 0)))]
        for stage in range(3):
            for _ in range(self.blocks):
                us.append(self.block(us[-1], None, DOWN))
                uls.append(self.block(uls[-1], us[-1], DOWN_RIGHT))
            if stage < 2:
                us.append(self.conv(us[-1], DOWN, stride=2))
                uls.append(self.conv(uls[-1], DOWN_RIGHT, stride=2))
        u, ul = us.pop(), uls.pop()
        for stage in range(3):
            for _ in range(self.blocks + (stage > 0)):
                u = self.block(u, us.pop(), DOWN)
                ul = self.block(ul, np.concatenate([u, uls.pop()], axis=-1), DOWN_RIGHT)
            if stage < 2:
                height, width = 2 * u.shape[1], 2 * u.shape[2]
                u = self.deconv(u)[:, :height, 1 : width + 1]
                ul = self.deconv(ul)[:, :height, :width]
        assert not us and not uls
        return self.dense(np.where(ul > 0, ul, np.expm1(ul)))

    def draws(self, x: np.ndarray, noise: np.ndarray, h: np.ndarray | None = None) -> np.ndarray:
        """What the model_spec of ``-ed`` returns, given its noise (S, N, H, W, E) in [-1, 1]: (S, N, H, W, 3)."""
        f = self(x, h) + self.dense(noise)
        f = self.dense(concat_elu(f))
        return np.tanh(self.dense(concat_elu(f)))

    def next(self, kind: str, name: str) -> np.ndarray:
        return self.variables[f"model/{kind}_{self.made.get(kind, 0)}/{name}"]

    def layer(self, kind: str, output_axis: int) -> tuple[np.ndarray, np.ndarray]:
        v, g, b = (self.next(kind, name) for name in "Vgb")
        self.made[kind] = self.made.get(kind, 0) + 1
        others = tuple(axis for axis in range(v.ndim) if axis != output_axis % v.ndim)
        shape = [1] * v.ndim
        shape[output_axis] = -1
        return v / np.sqrt((v**2).sum(others, keepdims=True)) * g.reshape(shape), b

    def conv(self, x: np.ndarray, pad: tuple[int, int, int, int], stride: int = 1) -> np.ndarray:
        w, b = self.layer("conv2d", -1)
        x = np.pad(x, ((0, 0), pad[:2], pad[2:], (0, 0)))
        rows, columns = w.shape[:2]
        height, width = (x.shape[1] - rows) // stride + 1, (x.shape[2] - columns) // stride + 1
        y = np.empty((len(x), height, width, w.shape[3]))
        for i, j in np.ndindex(height, width):
            window = x[:, stride * i : stride * i + rows, stride * j : stride * j + columns]
            y[:, i, j] = np.einsum("nabc,abcd->nd", window, w) + b
        return y

    def deconv(self, x: np.ndarray) -> np.ndarray:
        w, b = self.layer("deconv2d", 2)
        rows, columns = w.shape[:2]
        n, height, width, _ = x.shape
        y = np.zeros((n, 2 * height + rows - 1, 2 * width + columns - 1, w.shape[2])) + b
        for i, j in np.ndindex(height, width):
            y[:, 2 * i : 2 * i + rows, 2 * j : 2 * j + columns] += np.einsum("nc,abdc->nabd", x[:, i, j], w)
        return y

    def dense(self, x: np.ndarray) -> np.ndarray:
        w, b = self.layer("dense", -1)
        return x @ w + b

    def nl(self, x: np.ndarray) -> np.ndarray:
        if self.nonlinearity == "relu":
            return np.maximum(x, 0)
        return concat_elu(x) if self.nonlinearity == "concat_elu" else elu(x)

    def block(self, x: np.ndarray, aux: np.ndarray | None, pad: tuple[int, int, int, int]) -> np.ndarray:
        c1 = self.conv(self.nl(x), pad)
        if aux is not None:
            c1 = c1 + self.dense(self.nl(aux))
        c2 = self.conv(self.nl(c1), pad)
        if self.h is not None:
            c2 = c2 + (self.h @ self.next("conditional_weights", "hw"))[:, None, None]
            self.made["conditional_weights"] = self.made.get("conditional_weights", 0) + 1
        a, b = np.split(c2, 2, axis=-1)
        return x + a / (1 + np.exp(-b))


DOWN, DOWN_RIGHT = (1, 0, 1, 1), (1, 0, 1, 0)  # zeros above, below, left, right


def elu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


def concat_elu(x: np.ndarray) -> np.ndarray:
    return elu(np.concatenate([x, -x], axis=-1))


def down_shift(x: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(x[:, :1]), x[:, :-1]], axis=1)


def right_shift(x: np.ndarray) -> np.ndarray:
    return np.concatenate([np.zeros_like(x[:, :, :1]), x[:, :, :-1]], axis=2)
