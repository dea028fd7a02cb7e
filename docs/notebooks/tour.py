# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {name: python3, display_name: Python 3}
# ---

# %% [markdown]
# # A tour in five minutes
#
# Two released models, no training and no download: draw images, score them, see
# where the bits go, and complete half an image. Everything here runs on a CPU.

# %%
import matplotlib.pyplot as plt
import torch
from PIL import Image
from sklearn.datasets import load_digits

import pixelcnn
from pixelcnn.pictures import grid


def show(images, model, columns=8):
    """A grid of uint8 images (N, C, H, W)."""
    picture = grid(images, model.image.levels, columns)
    return Image.fromarray(picture.permute(1, 2, 0).numpy())


# %% [markdown]
# ## Draw
#
# `cifar10_small` has a hundredth of the paper's size and saw each CIFAR-10 image
# once. It learned colours, edges and smooth surfaces, but no objects.

# %%
model = pixelcnn.load("cifar10_small")
samples = model.sample(16, seed=0)  # uint8 (16, 3, 32, 32)
show(samples, model)

# %% [markdown]
# Image k depends on the seed and k only, so `model.sample(2, seed=0)` draws the
# first two again.
#
# ## Score
#
# A model is a distribution: `log_prob` is the exact log-probability of an image in
# nats. `bits_per_dim` is the same per sub-pixel in base 2. Lower is better, and 8
# is a uniform guess over 256 levels. Noise costs more than that, because the model
# expects smooth images. A flat image costs almost nothing, less than any
# photograph: likelihood is not quality.

# %%
noise = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)
grey = torch.full((4, 3, 32, 32), 128, dtype=torch.uint8)

with torch.no_grad():
    for name, images in [
        ("samples", samples),
        ("noise", noise),
        ("flat grey", grey),
    ]:
        print(f"{name:10} {model.bits_per_dim(images).mean():6.2f} bits/dim")

# %% [markdown]
# ## See where the bits go
#
# `bits` is that score pixel by pixel and channel by channel. It sums to the
# negative log-probability in base 2. Edges and texture are expensive, continued
# surfaces are cheap. Red comes first in each pixel, so it costs the most: green is
# predicted given red, and blue given both.

# %%
with torch.no_grad():
    bits = model.bits(samples)  # (16, 3, 32, 32)

figure, rows = plt.subplots(2, 6, figsize=(9, 3.2), layout="constrained")
for image, spent, (above, below) in zip(samples, bits, rows.T, strict=False):
    above.imshow(image.permute(1, 2, 0).numpy())
    drawn = below.imshow(spent.sum(0).numpy(), vmin=0, vmax=24, cmap="magma")
for axes in rows.flat:
    axes.set_axis_off()
figure.colorbar(drawn, ax=rows, label="bits per pixel")

red, green, blue = bits.mean((0, 2, 3))
print(f"red {red:.2f}, green {green:.2f}, blue {blue:.2f} bits/dim")

# %% [markdown]
# ## Complete
#
# `digits` models scikit-learn's handwritten digits: 8x8 pixels of 17 grey levels.
# Keep the upper half of six test images and draw the lower half four times. The
# model reads in raster order, so these are exact samples given the upper half.
# Rows: the original, then four completions.

# %%
digits_model = pixelcnn.load("digits")
digits = torch.tensor(load_digits().images, dtype=torch.uint8)[:, None]
test = digits[5::6][:6]  # (6, 1, 8, 8)

known = torch.zeros(8, 8, dtype=torch.bool)
known[:4] = True
completed, log_prob = digits_model.complete(test.repeat(4, 1, 1, 1), known, seed=0)
show(torch.cat([test, completed]), digits_model, columns=6)

# %% [markdown]
# ## Spot what does not belong
#
# The same digits upside down have the same pixels in another order. The model finds
# them less likely.

# %%
with torch.no_grad():
    upright = digits_model.bits_per_dim(test).mean()
    upside_down = digits_model.bits_per_dim(test.flip(2)).mean()
print(f"upright {upright:.2f}, upside down {upside_down:.2f} bits/dim")

# %% [markdown]
# Next: [train a network of your own](recipe.py) and compare it with the paper's, or
# see [In Python](../python.md) for all of the calls.
