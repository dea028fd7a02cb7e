"""The pictures of docs/concepts.md: what each stream sees, and what a pixel costs (needs matplotlib).

python -m bench.figures docs
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.colors import ListedColormap
from torch import Tensor

import pixelcnn
from pixelcnn.network import Network, PixelCNN, PixelCNNPP

SIDE, PLACE = 15, (9, 7)  # of the images for the streams, and the pixel that looks
SHOWN, PIXEL = 3, (14, 20)  # the sample for the bits, and its pixel


def seen(value: Callable[[Tensor], Tensor]) -> Tensor:
    """Which pixels ``value`` at PLACE depends on: bool (SIDE, SIDE), by its gradient."""
    torch.manual_seed(0)
    x = torch.rand(1, 3, SIDE, SIDE, requires_grad=True)
    value(x)[0, :, *PLACE].square().sum().backward()
    assert x.grad is not None
    return x.grad[0].abs().sum(0) > 0


def streams(path: Path) -> None:
    """The u stream, the ul stream that the output reads, and the first PixelCNN with its blind spot."""
    torch.manual_seed(0)
    network = PixelCNNPP(3, 10, num_filters=8, num_resnet_blocks=2, num_stages=1)
    first = PixelCNN(3, 10, num_filters=6, num_blocks=6, num_output_features=6)
    last_u = [node.name for node in network.topology.nodes if node.stream == "u"][-1]

    def of(network: Network, name: str) -> Callable[[Tensor], Tensor]:
        return lambda x: network.values(x, keep=True)[name]

    panels = {
        "u stream": of(network, last_u),
        "ul stream and output": of(network, network.topology.nodes[-1].name),
        "PixelCNN (2016)": of(first, first.topology.nodes[-1].name),
    }
    figure, row = plt.subplots(1, 3, figsize=(7, 2.6), layout="constrained")
    for axes, (title, value) in zip(row, panels.items(), strict=True):
        colours = seen(value).int()
        colours[PLACE] = 2
        axes.imshow(colours, cmap=ListedColormap(["#e8ebef", "#6ba3e8", "#cf5b16"]), vmin=0, vmax=2)
        axes.set_title(title, fontsize=10)
        axes.set_xticks([k - 0.5 for k in range(SIDE)], [])
        axes.set_yticks([k - 0.5 for k in range(SIDE)], [])
        axes.grid(color="white", linewidth=0.8)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.savefig(path, dpi=120)


def bits(path: Path) -> None:
    """The probabilities of one value, an image, and the bits of all of its pixels."""
    model = pixelcnn.load("cifar10_small")
    image = model.sample(SHOWN + 1, seed=0)[SHOWN:]
    i, j = PIXEL
    levels = torch.arange(256)
    with torch.no_grad():
        parameters = model.pixel_parameters(image)[:, :, i : i + 1, j : j + 1]
        candidates = image[:, :, i : i + 1, j : j + 1].repeat(256, 1, 1, 1)
        candidates[:, 0, 0, 0] = levels.byte()
        parameters = parameters.expand(256, -1, -1, -1)
        probability = model.likelihood.log_prob_by_channel(parameters, candidates)[:, 0, 0, 0].exp()
        spent = model.bits(image)[0]
    assert abs(probability.sum() - 1) < 1e-4
    value = int(image[0, 0, i, j])
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(8.4, 2.6), layout="constrained", width_ratios=(1.6, 1, 1.25)
    )
    left.bar(levels, probability, width=1.0, color="#6ba3e8")
    left.bar([value], [probability[value]], width=2.0, color="#cf5b16")
    left.annotate(
        f"value {value}:\n-log2 {probability[value]:.3f} = {spent[0, i, j]:.1f} bits",
        (value, probability[value]),
        (0.03, 0.97),
        textcoords="axes fraction",
        va="top",
        arrowprops={"arrowstyle": "->", "color": "#cf5b16"},
    )
    left.set(
        xlabel="red level of one pixel",
        ylabel="probability",
        xlim=(max(value - 40, 0), value + 40),
        ylim=(0, 1.5 * float(probability.max())),
    )
    middle.imshow(image[0].permute(1, 2, 0).numpy())
    middle.plot(j, i, "s", markersize=6, markerfacecolor="none", markeredgecolor="#cf5b16")
    mean = spent.mean()
    drawn = right.imshow(spent.sum(0).numpy(), cmap="magma", vmin=0)
    right.set_title(f"mean: {mean:.2f} bits/dim", fontsize=10)
    figure.colorbar(drawn, ax=right, label="bits per pixel")
    for axes in (middle, right):
        axes.set_axis_off()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Write ``streams.png`` and ``bits.png``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    streams(folder / "streams.png")
    bits(folder / "bits.png")


if __name__ == "__main__":
    main()
