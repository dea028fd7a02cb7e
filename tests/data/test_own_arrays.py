"""The data set of docs/data.md whose rows are fetched when they are asked for."""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from pixelcnn.data.few_levels import few_levels
from pixelcnn.data.fingerprint import fingerprint

PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text()
IMAGES = {
    split: np.random.default_rng(seed).integers(0, 256, (30, 3, 4, 4), np.uint8)
    for seed, split in enumerate(("train", "test"))
}


class Fetched(list):
    """In place of litdata's StreamingDataset: the rows by their places, as its items are."""

    def __init__(self, url):
        super().__init__({"image": image} for image in IMAGES[url.rpartition("/")[2]])


@pytest.fixture
def stream(monkeypatch):
    litdata = ModuleType("litdata")
    litdata.StreamingDataset = Fetched
    monkeypatch.setitem(sys.modules, "litdata", litdata)
    (code,) = [code for code in re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S) if "litdata" in code]
    names: dict = {}
    exec(code, names)
    return lambda **options: names["Stream"](
        "s3://bucket", **{"batch_size": 4, "val_size": 6, "num_workers": 0, "seed": 1, **options}
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_those_of_the_whole_array(stream, workers):
    data = stream(levels=32, num_workers=workers)
    data.setup("fit")
    data.setup("test")
    assert str(data.shape) == "4x4 with 3 channels and 32 levels" and few_levels(data) is None
    assert fingerprint(data) == fingerprint(stream(levels=32))
    for loader, split in (
        (data.train_dataloader(), "train"),
        (data.val_dataloader(), "train"),
        (data.test_dataloader(), "test"),
    ):
        for batch in loader:
            assert torch.equal(batch["images"], torch.from_numpy(IMAGES[split][batch["index"]] // 8))


def test_values_that_are_few_are_found(stream, monkeypatch):
    monkeypatch.setitem(IMAGES, "train", IMAGES["train"] // 128 * 255)
    data = stream()
    data.setup("fit")
    assert few_levels(data).endswith("set data.levels=2.")
