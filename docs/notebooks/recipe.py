# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3}
# ---

# %% [markdown]
# # Train and compare a network of your own
#
# The question of this notebook: how much do two streams, gates and short-cuts buy
# over plain masked convolutions of about the same size? You write the baseline,
# check that it is causal, train both on the same images, and compare them image by
# image. It takes half a minute on one CPU core.

# %%
from functools import partial

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

import pixelcnn

STEPS = 300
SEED = 0

# %% [markdown]
# ## The data
#
# scikit-learn's digits: 8x8 pixels, 17 grey levels. Every sixth image is a test
# image, as in `data=digits`.

# %%
digits = torch.tensor(load_digits().images, dtype=torch.uint8)[:, None]  # 0 to 16
is_test = torch.arange(len(digits)) % 6 == 5
train, test = digits[~is_test], digits[is_test]

# %% [markdown]
# ## The network
#
# A network is any module that maps images (N, C, H, W), scaled to [-1, 1], to the
# parameters of every pixel (N, P, H, W). Pixel (i, j) of its output may depend only
# on pixels before (i, j) in raster order. The model tells the constructor how many
# channels come in and how many parameters the likelihood needs; all other arguments
# are yours.
#
# Here the kernels are masked: everything after the centre is zero, and in the first
# layer so is the centre.


# %%
class MaskedConv(nn.Conv2d):
    """A convolution over pixels above and to the left, with or without itself."""

    def __init__(
        self, inputs: int, outputs: int, size: int, sees_itself: bool
    ) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)
        before = (
            torch.arange(size * size).view(size, size)
            < size * size // 2 + sees_itself
        )
        self.register_buffer("mask", before.float())

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class Plain(nn.Module):
    """``depth`` residual masked 5x5 convolutions of ``width`` features."""

    def __init__(
        self,
        image_channels: int,
        num_parameters: int,
        *,
        width: int = 32,
        depth: int = 4,
    ) -> None:
        super().__init__()
        self.first = MaskedConv(image_channels, width, 5, sees_itself=False)
        self.hidden = nn.ModuleList(
            MaskedConv(width, width, 5, sees_itself=True) for _ in range(depth)
        )
        self.last = nn.Conv2d(width, num_parameters, 1)

    def forward(self, x, h=None):
        x = self.first(x)
        for layer in self.hidden:
            x = x + layer(F.elu(x))
        return self.last(F.elu(x))


# %% [markdown]
# With a likelihood this is a distribution. `check_causal` proves by the Jacobian
# that no pixel sees itself or a later one. If a mask were wrong, it would name the
# pixel that leaks. Do this before you believe a low score.

# %%
image = (1, 8, 8, 17)  # channels, height, width, levels
torch.manual_seed(SEED)
small = partial(
    pixelcnn.PixelCNNPP, num_filters=16, num_resnet_blocks=1, num_stages=2
)
models = {
    "plain": pixelcnn.PixelModel(image, Plain),
    "pixelcnn++": pixelcnn.PixelModel(image, small),
}
for name, model in models.items():
    pixelcnn.check_causal(model)
    print(f"{name:12} {sum(p.numel() for p in model.parameters()):,} parameters")

# %% [markdown]
# ## Train
#
# Both see the same batches. PixelCNN++ trains with dropout, by default of half the
# features, so its training curve is above its score without dropout.


# %%
def trained(model: pixelcnn.PixelModel) -> list[float]:
    """Train ``model``; returns the training score of each step in bits/dim."""
    order = torch.Generator().manual_seed(SEED)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.LinearLR(
        optimizer, 1.0, 0.0, total_iters=STEPS
    )
    scores = []
    model.train()
    for _ in range(STEPS):
        batch = train[torch.randint(len(train), (32,), generator=order)]
        loss = model.bits_per_dim(batch).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        scores.append(loss.item())
    model.eval()
    return scores


curves = {name: trained(model) for name, model in models.items()}

figure, axes = plt.subplots(figsize=(7, 3), layout="constrained")
for name, scores in curves.items():
    smooth = torch.tensor(scores).unfold(0, 10, 1).mean(1)  # over ten steps
    axes.plot(range(10, STEPS + 1), smooth, label=name)
axes.set(xlabel="steps", ylabel="training bits/dim", ylim=(1.7, 3.0))
_ = axes.legend()

# %% [markdown]
# ## Compare
#
# Score the test images with both. Some digits are hard for any model, so scores
# vary widely between images and the two intervals overlap. The difference on each
# image varies much less: compare models by the interval of the difference.


# %%
def interval(scores):
    """Mean and half the 95 % interval over images."""
    return scores.mean().item(), 1.96 * scores.std().item() / len(scores) ** 0.5


with torch.no_grad():
    scores = {name: model.bits_per_dim(test) for name, model in models.items()}
scores["difference"] = scores["plain"] - scores["pixelcnn++"]
for name, found in scores.items():
    print("{:12} {:.3f} ± {:.3f} bits/dim".format(name, *interval(found)))

# %% [markdown]
# That interval covers the choice of test images, not of the seed: train with
# several seeds before you publish a difference.
#
# ## From here to an experiment
#
# The command line trains the same class, with checkpoints, EMA weights, sweeps and
# several devices. Put it into your own package, name it in `conf/model/plain.yaml`
#
# ```yaml
# _target_: mypaper.network.Plain
# width: 32
# depth: 4
# ```
#
# and sweep over its width with three seeds each:
#
# ```
# pixelcnn --config-dir conf -m data=digits trainer.max_epochs=25 optim.lr=0.003 \
#     model=plain model.width=16,32 seed=0,1,2
# ```
#
# [Your own network, likelihood, callback](../own-parts.md) continues from here,
# [Sweeps](../sweeps.md) shows what the sweep leaves.
