"""Archives by the command line."""

import json
from itertools import count

import numpy as np
import pytest
from PIL import Image

from tests.tasks.conftest import TINY


@pytest.fixture
def there_and_back(call, trained, tmp_path):
    """Compresses and decompresses: the metrics, and the arrays that come back."""
    directories = (tmp_path / f"run{number}" for number in count())

    def there_and_back(*overrides: str, checkpoint=trained / "checkpoints/best.ckpt", again: tuple[str, ...] = ()):
        archive, back = next(directories), next(directories)
        call("task=compress", f"checkpoint={checkpoint}", *overrides, f"hydra.run.dir={archive}")
        given = (f"checkpoint={checkpoint}", f"task.file={archive}/images.pxc", *again)
        call("task=decompress", *given, f"hydra.run.dir={back}")
        return json.loads((archive / "metrics.json").read_text()), np.load(back / "images.npz"), archive

    return there_and_back


def test_a_test_set_comes_back(there_and_back, arrays, capsys):
    metrics, back, archive = there_and_back(*arrays, "task.batch_size=4")
    originals = np.load(arrays[2].removeprefix("data.test="))["images"]
    np.testing.assert_array_equal(back["images"], originals)
    assert back["images"].dtype == np.uint8 and back["levels"] == 256
    size = (archive / "images.pxc").stat().st_size
    assert metrics["num_bytes"] == size and metrics["num_images"] == 11 and metrics["num_raw"] == 0
    assert metrics["bits_per_dim"] == 8 * size / originals.size
    said = metrics["model/bits_per_dim"] * originals.size / 8
    assert size - 4 * 11 < 1.001 * said + 200  # and less for values that the model all but excludes
    assert f"11 images in {size:,} bytes" in capsys.readouterr().out


def test_restored_images_are_not_overwritten(there_and_back, arrays, call, trained, tmp_path):
    _, _, archive = there_and_back(*arrays)
    given = (f"checkpoint={trained}/checkpoints/best.ckpt", f"task.file={archive}/images.pxc")
    restored = tmp_path / "run1" / "images.npz"
    before = restored.read_bytes()
    with pytest.raises(SystemExit, match=rf"^hydra.run.dir={restored.parent} already holds a run .*images\.npz"):
        call("task=decompress", *given, f"hydra.run.dir={restored.parent}")
    assert restored.read_bytes() == before


def test_files_come_back(there_and_back, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 12, 3), dtype=np.uint8)
    np.savez(tmp_path / "some.npz", images=pixels)
    (tmp_path / "folder").mkdir()
    for place, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "folder" / f"{place}.png")
    for name in ("some.npz", "folder"):
        _, back, _ = there_and_back(f"task.file={tmp_path}/{name}", "task.batch_size=2")
        np.testing.assert_array_equal(back["images"], pixels)
    _, back, _ = there_and_back(f"task.file={tmp_path}/folder/1.png", "task.verify=false")
    np.testing.assert_array_equal(back["images"], pixels[1:2])


def test_labels_are_stored_or_given(there_and_back, arrays, call, tmp_path):
    call(*arrays, *TINY, "conditioning=class", "trainer.max_steps=1", f"hydra.run.dir={tmp_path}/run")
    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    originals = np.load(arrays[2].removeprefix("data.test="))
    _, back, _ = there_and_back(*arrays, checkpoint=checkpoint)
    np.testing.assert_array_equal(back["images"], originals["images"])
    np.testing.assert_array_equal(back["labels"], originals["labels"])
    given = ("task.label=1",)
    apart = (*arrays, *given, "task.store_condition=false")
    _, back, archive = there_and_back(*apart, checkpoint=checkpoint, again=given)
    np.testing.assert_array_equal(back["images"], originals["images"])
    with pytest.raises(SystemExit, match=r"images.pxc .*conditions.*task.label"):
        call("task=decompress", f"checkpoint={checkpoint}", f"task.file={archive}/images.pxc")
    np.savez(tmp_path / "bare.npz", images=originals["images"])
    with pytest.raises(SystemExit, match=r"condition.* task.file=.*bare.npz"):
        call("task=compress", f"checkpoint={checkpoint}", f"task.file={tmp_path}/bare.npz")


def test_a_damaged_archive_leaves_nothing(there_and_back, arrays, call, trained, tmp_path):
    _, _, archive = there_and_back(*arrays)
    content = bytearray((archive / "images.pxc").read_bytes())
    content[-30] ^= 1
    (tmp_path / "damaged.pxc").write_bytes(content)
    given = (f"checkpoint={trained}/checkpoints/best.ckpt", f"task.file={tmp_path}/damaged.pxc")
    with pytest.raises(SystemExit, match=r"task.file=.*damaged.pxc .*damaged"):
        call("task=decompress", *given, f"hydra.run.dir={tmp_path}/back")
    assert not list((tmp_path / "back").glob("*.npz*")) + list((tmp_path / "back").glob(".*partial"))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nothing.npz", r"^task.file=\S*nothing.npz .*\.npz"),
        ("grey.png", r"^task.file=\S*grey.png .*\(1, 1, 8, 8\)"),
        ("odd.png", r"^task.file=\S*odd.png .* divisible by"),
        ("mixed", r"1.png .*8x12 RGB.*0.png .*8x8 RGB"),
    ],
)
def test_files_that_do_not_fit_are_named(call, trained, tmp_path, name, told):
    Image.new("L", (8, 8)).save(tmp_path / "grey.png")
    Image.new("RGB", (7, 13)).save(tmp_path / "odd.png")
    (tmp_path / "mixed").mkdir()
    for place, width in enumerate((8, 12)):
        Image.new("RGB", (width, 8)).save(tmp_path / "mixed" / f"{place}.png")
    given = (f"checkpoint={trained}/checkpoints/best.ckpt", f"task.file={tmp_path}/{name}", "task.batch_size=1")
    with pytest.raises(SystemExit, match=told):
        call("task=compress", *given, f"hydra.run.dir={tmp_path}/run")
    assert not (tmp_path / "run/images.pxc").exists()


@pytest.mark.parametrize("key", ["data=digits", "data.val_size=3"])
def test_a_file_and_a_data_set_are_not_both_compressed(call, trained, tmp_path, key):
    given = (f"checkpoint={trained}/checkpoints/best.ckpt", f"task.file={tmp_path}/a.npz", key)
    with pytest.raises(SystemExit, match=rf"^task.file=\S*a.npz .*{key}"):
        call("task=compress", *given, f"hydra.run.dir={tmp_path}/run")


def test_without_the_coder_it_says_what_to_install(call, trained, monkeypatch):
    import sys

    for name in [name for name in sys.modules if name.startswith(("pixelcnn.compression", "pixelcnn.tasks.compress"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(SystemExit, match=r"constriction .*requirements-compression.txt"):
        call("task=compress", f"checkpoint={trained}/checkpoints/best.ckpt")
