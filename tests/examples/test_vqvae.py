"""The example of a prior over codes: its VQ-VAE learns, and its one command leaves what its page promises."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples/vqvae"


@pytest.fixture
def vqvae(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import vqvae

    return vqvae


def blocks(n: int) -> torch.Tensor:
    """Images uint8 (n, 1, 8, 8) of four quarters, each black, grey or white."""
    quarters = torch.randint(3, (n, 1, 2, 2), generator=torch.Generator().manual_seed(0)) * 120
    return quarters.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3).to(torch.uint8)


def test_codes_are_of_their_quarters(vqvae):
    images = blocks(64)
    errors = []
    model = vqvae.train(images, 150, num_codes=8, batch_size=32, on_step=lambda step, error: errors.append(error))
    assert errors[-1] < errors[0] / 10
    codes = model.encode(images)
    assert codes.shape == (64, 2, 2) and codes.dtype == torch.int64 and 3 <= len(codes.unique()) <= 8
    back = model.decode(codes)
    assert back.dtype == torch.uint8 and (back.float() - images.float()).abs().mean() < 25


def test_nothing_but_used_codes_moves(vqvae):
    book = vqvae.Codebook(4, 2)
    z = torch.tensor([[0.0, 0.0], [10.0, 0.0]]).repeat(50, 1)
    for _ in range(60):
        book.learn(z, book.nearest(z))
    found = book.codes[book.nearest(z)]
    torch.testing.assert_close(found, z, atol=1e-3, rtol=0)


@pytest.mark.slow
def test_the_command_leaves_pictures_and_numbers(tmp_path):
    images = (blocks(80)[:, 0].numpy(), np.arange(80) % 10)
    for name in ("train", "test"):
        np.savez(tmp_path / f"{name}.npz", images=images[0], labels=images[1])
    files = (str(tmp_path / "train.npz"), str(tmp_path / "test.npz"))
    given = ("--directory", str(tmp_path / "out"), "--images", *files, "--steps", "3", "--codes", "16", "--")
    overrides = ("trainer.max_steps=1", "data.val_size=8", "data.batch_size=8", "initialisation.size=8")
    subprocess.run(
        [sys.executable, str(FOLDER), *given, *overrides],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
    )
    numbers = json.loads((tmp_path / "out/numbers.json").read_text())
    assert numbers["bits_per_code"] > 0 and numbers["independent_by_position"] <= numbers["independent"] + 1
    codes = np.load(tmp_path / "out/train.npz")
    assert codes["codes"].shape == (80, 2, 2) and codes["levels"] == 16
    decoded = np.load(tmp_path / "out/samples/samples.npz")["decoded"]
    assert decoded.shape == (80, 8, 8, 1)
    for name in ("reconstructions.png", "samples/samples.png", "completions/completions.png"):
        assert (tmp_path / "out" / name).is_file()
