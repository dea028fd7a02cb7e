"""A small VQ-VAE (van den Oord et al. 2017, "Neural Discrete Representation Learning") in plain torch.

Grey images uint8 (N, 1, H, W), with H and W divisible by 4, become codes int64 (N, H / 4, W / 4) of 0 .. K-1 and are
decoded again. `pictures` is the decode hook of a prior over the codes: task.decode=vqvae:pictures.
"""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WEIGHTS = Path(os.environ.get("VQVAE", "outputs/vqvae/vqvae.pt"))
COMMITMENT = 0.25  # the weight of the encoder's distance to its codes, as in the paper
DECAY = 0.95  # of the moving averages that the codes are; the paper's 0.99 is for longer training
RESTART = 0.1  # a code that is used less than this, relative to the average code, starts again
AT_ONCE = 500  # images encoded or decoded at once, to bound memory


class Residual(nn.Module):
    """x + conv1x1(relu(conv3x3(relu(x))))."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(features, features // 2, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(features // 2, features, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, F, H, W), as it returns."""
        return x + self.layers(x)


class Codebook(nn.Module):
    """K vectors, moving averages of the encoder's outputs that are nearest to them (appendix A.1 of the paper)."""

    codes: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, num_codes: int, size: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.randn(num_codes, size))
        self.register_buffer("counts", torch.zeros(num_codes))
        self.register_buffer("sums", torch.zeros(num_codes, size))

    def nearest(self, z: Tensor) -> Tensor:
        """The codes, int64 (M,), nearest to z (M, size)."""
        return (self.codes.square().sum(dim=1) - 2 * z @ self.codes.t()).argmin(dim=1)

    @torch.no_grad()
    def learn(self, z: Tensor, code: Tensor) -> None:
        """Move each code towards the vectors z (M, size) assigned to it, and unused codes to random ones of z."""
        used = F.one_hot(code, len(self.codes)).to(z.dtype)
        self.counts.lerp_(used.sum(dim=0), 1 - DECAY)
        self.sums.lerp_(used.t() @ z, 1 - DECAY)
        least = RESTART * len(z) / len(self.codes)
        unused = self.counts < least
        others = z[torch.randint(len(z), (int(unused.sum()),))]
        self.counts[unused], self.sums[unused] = 2 * least, 2 * least * others
        self.codes.copy_(self.sums / self.counts[:, None])


class VQVAE(nn.Module):
    """Two convolutions of stride 2, residual blocks, the codebook, and the mirrored decoder."""

    def __init__(self, num_codes: int = 128, features: int = 32, size: int = 16) -> None:
        super().__init__()
        self.arguments = {"num_codes": num_codes, "features": features, "size": size}
        half = features // 2
        self.encoder = nn.Sequential(
            nn.Conv2d(1, half, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(half, features, 4, stride=2, padding=1),
            Residual(features),
            Residual(features),
            nn.ReLU(),
            nn.Conv2d(features, size, 1),
        )
        self.codebook = Codebook(num_codes, size)
        self.decoder = nn.Sequential(
            nn.Conv2d(size, features, 3, padding=1),
            Residual(features),
            Residual(features),
            nn.ReLU(),
            nn.ConvTranspose2d(features, half, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(half, 1, 4, stride=2, padding=1),
        )

    def losses(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The mean squared error of the reconstruction and the commitment loss, on a scale from black 0 to white 1."""
        x = images.float() / 255
        z = self.encoder(x)
        flat = z.permute(0, 2, 3, 1).flatten(0, 2)
        code = self.codebook.nearest(flat)
        quantised = self.codebook.codes[code].view_as(z.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        if self.training:
            self.codebook.learn(flat, code)
        commitment = F.mse_loss(z, quantised)
        through = z + (quantised - z).detach()  # straight-through gradient
        return F.mse_loss(self.decoder(through), x), commitment

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Codes int64 (N, H / 4, W / 4) of images uint8 (N, 1, H, W)."""
        return torch.cat([self._codes(part) for part in images.split(AT_ONCE)])

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Images uint8 (N, 1, H, W) of codes int64 (N, H / 4, W / 4)."""
        vectors = (self.codebook.codes[part].permute(0, 3, 1, 2) for part in codes.split(AT_ONCE))
        return torch.cat([(255 * self.decoder(part)).round().clamp(0, 255).to(torch.uint8) for part in vectors])

    def _codes(self, images: Tensor) -> Tensor:
        z = self.encoder(images.float() / 255).permute(0, 2, 3, 1)
        return self.codebook.nearest(z.flatten(0, 2)).view(z.shape[:3])


def train(
    images: Tensor,
    steps: int,
    num_codes: int = 128,
    batch_size: int = 64,
    lr: float = 2e-3,
    seed: int = 0,
    on_step: Callable[[int, float], object] = lambda step, error: None,
) -> VQVAE:
    """A VQ-VAE of ``images`` uint8 (N, 1, H, W), trained by Adam; ``on_step`` sees each step's mean squared error."""
    torch.manual_seed(seed)
    model = VQVAE(num_codes)
    optimizer = torch.optim.Adam(model.parameters(), lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step, batch in enumerate(batches(images, batch_size, steps)):
        error, commitment = model.losses(batch)
        optimizer.zero_grad()
        (error + COMMITMENT * commitment).backward()
        optimizer.step()
        scheduler.step()
        on_step(step, error.item())
    return model.eval()


def batches(images: Tensor, size: int, count: int) -> Iterator[Tensor]:
    """``count`` batches of ``size``, epoch by epoch in a random order."""
    order = torch.empty(0, dtype=torch.int64)
    for _ in range(count):
        if len(order) < size:
            order = torch.randperm(len(images))
        yield images[order[:size]]
        order = order[size:]


def save(model: VQVAE, path: Path) -> None:
    """Write the weights, for `load`."""
    torch.save({"arguments": model.arguments, "weights": model.state_dict()}, path)


@cache
def load(path: Path = WEIGHTS) -> VQVAE:
    """The VQ-VAE that `save` wrote."""
    stored: dict[str, Any] = torch.load(path, weights_only=True)
    model = VQVAE(**stored["arguments"])
    model.load_state_dict(stored["weights"])
    return model.eval()


def pictures(images: Tensor) -> Tensor:
    """The decode hook: pictures uint8 (N, 1, H, W) of codes int64 (N, 1, H / 4, W / 4), by the weights ``$VQVAE``."""
    return load().decode(images[:, 0])
