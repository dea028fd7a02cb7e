"""Conditions named on the command line: by a row of a file or an image to encode, for every task that takes them."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn import UserError
from pixelcnn.conditioning import ClassLabels, Encoder, Maps, Unconditional, Vectors
from pixelcnn.model import build
from pixelcnn.tasks.conditions import given_condition
from tests.conftest import random_images, tiny_description
from tests.tasks.conditioned import COLUMNS, rng

KINDS = {
    "none": partial(Unconditional),
    "class": partial(ClassLabels, num_classes=3),
    "vector": partial(Vectors, num_features=2),
    "spatial": partial(Maps, num_features=2),
    "encoder": partial(Encoder, code_size=2, num_filters=4),
}


def tiny(kind: str, **options):
    torch.manual_seed(0)
    return build(tiny_description(conditioning=KINDS[kind], **options)).eval()


def given(kind: str, spec: str, **options) -> torch.Tensor:
    model = tiny(kind, **options)
    found = given_condition(model, 8, 8, condition=spec)
    assert found is not None
    return found.condition


def test_a_row_is_of_the_array_that_the_model_is_conditioned_on(file, tmp_path):
    assert given("class", f"{file}:4").tolist() == [1]
    assert torch.equal(given("vector", f"{file}:4"), torch.tensor(COLUMNS["embeddings"][4:5], dtype=torch.float32))
    assert torch.equal(given("spatial", f"{file}:4"), torch.tensor(COLUMNS["maps"][4:5], dtype=torch.float32))
    image = torch.from_numpy(COLUMNS["images"][4:5]).permute(0, 3, 1, 2).contiguous()
    with torch.no_grad():
        assert torch.equal(given("encoder", f"{file}:4"), tiny("encoder").conditioning.encode(image, 1, 8, 8))
    # Codes stand before images, and a lone array is what the kind takes first.
    codes = rng.normal(size=(5, 2)).astype(np.float32)
    np.savez(tmp_path / "codes.npz", codes=codes, **COLUMNS)
    np.save(tmp_path / "codes.npy", codes)
    for name in ("codes.npz", "codes.npy"):
        assert given("encoder", f"{tmp_path}/{name}:3").tolist() == codes[3:4].tolist()
    assert given("vector", f"{tmp_path}/codes.npy:3").tolist() == codes[3:4].tolist()


def test_a_row_of_codes_that_are_images_is_encoded(tmp_path):
    model = tiny("encoder", channels=1, levels=300)
    codes = np.random.default_rng(0).integers(0, 300, (3, 8, 8))
    np.savez(tmp_path / "codes.npz", codes=codes)
    found = given_condition(model, 8, 8, condition=f"{tmp_path}/codes.npz:2")
    assert found.image.dtype == torch.int32 and np.array_equal(found.image[0, 0], codes[2])
    codes[1, 0, 0] = 300
    np.savez(tmp_path / "codes.npz", codes=codes)
    with pytest.raises(UserError, match=r"^task\.condition=.*codes\.npz:1 .* 300\b.* 0\.\.299"):
        given_condition(model, 8, 8, condition=f"{tmp_path}/codes.npz:1")


def test_an_image_file_of_16_bits_keeps_them(tmp_path):
    model = tiny("encoder", channels=1, levels=65_536)
    pixels = np.random.default_rng(0).integers(0, 65_536, (8, 8)).astype(np.uint16)
    Image.fromarray(pixels).save(tmp_path / "deep.png")
    found = given_condition(model, 8, 8, image=str(tmp_path / "deep.png"))
    assert np.array_equal(found.image[0, 0], pixels)


def test_an_image_file_is_encoded_at_the_models_levels(tmp_path):
    model = tiny("encoder", channels=1, levels=17)
    image = random_images(model, 1)
    # As the project's own pictures show levels.
    scaled = (image.int() * 255 + 8) // 16
    Image.fromarray(scaled[0, 0].numpy().astype(np.uint8)).save(tmp_path / "digit.png")
    found = given_condition(model, 8, 8, image=str(tmp_path / "digit.png"))
    assert torch.equal(found.image, image)
    with torch.no_grad():
        assert torch.equal(found.condition, model.conditioning.encode(image, 1, 8, 8))


NOT_FINITE = np.array([[np.nan, 0.0], [1e60, 0.0]])

REFUSED = [
    ("none", "{data}:0", "is for conditional models, and this one has conditioning=none"),
    ("vector", "{data}", "is not understood: write FILE:ROW"),
    ("vector", "{data}:first", "is not understood: write FILE:ROW"),
    ("vector", "{data}:-1", "is not understood: write FILE:ROW"),
    ("vector", "3", "is not understood: write FILE:ROW"),
    ("vector", "{folder}/absent.npz:0", "names no file"),
    ("vector", "{folder}:0", "names no file"),
    ("vector", "{folder}/text.npz:0", "cannot be read as plain arrays"),
    ("vector", "{data}:11", "names row 11 of 11 rows of `embeddings`: use 0 to 10"),
    ("vector", "{folder}/scalar.npy:0", "names row 0 of 0 rows of `embeddings`: use another file"),
    ("vector", "{folder}/wide.npz:0", r"is of type float64 and shape \(7,\).*floats of shape \(2,\)"),
    ("vector", "{folder}/whole.npz:0", r"is of type int64 and shape \(2,\)"),
    ("vector", "{folder}/not_finite.npy:0", "NaN or inf"),
    ("vector", "{folder}/not_finite.npy:1", "NaN or inf"),
    ("spatial", "{folder}/wide.npz:0", r"shape \(2, 4, 3\).*floats of shape \(2, 8, 8\)"),
    ("class", "{folder}/wide.npz:0", "is not a class of this model: use 0 to 2"),
    ("class", "{folder}/not_finite.npy:0", "float64"),
    ("class", "{folder}/images.npz:0", "a file without an array `labels`"),
    ("encoder", "{folder}/wide.npz:0", "a file without an array `codes` or `images`"),
    ("encoder", "{folder}/images.npz:0", r"is an image of type uint8 and shape \(4, 8, 3\).*8x8 RGB"),
    ("encoder", "{folder}/wide.npy:0", r"shape \(7,\).*floats of shape \(2,\)"),
]  # fmt: skip


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Files that are not what a model takes."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "text.npz").write_text("text\n")
    np.save(folder / "scalar.npy", np.array(3.0))
    np.save(folder / "wide.npy", np.ones((2, 7)))
    np.save(folder / "not_finite.npy", NOT_FINITE)
    np.savez(folder / "wide.npz", embeddings=np.ones((2, 7)), maps=np.ones((2, 2, 4, 3)), labels=np.array([3, 4]))
    np.savez(folder / "whole.npz", embeddings=np.ones((2, 2), int))
    np.savez(folder / "images.npz", images=np.zeros((2, 4, 8, 3), np.uint8))
    pixels = {"small": (4, 8, 3), "grey": (8, 8)}
    for name, shape in pixels.items():
        Image.fromarray(np.zeros(shape, np.uint8)).save(folder / f"{name}.png")
    return folder


@pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")  # of other tests
@pytest.mark.parametrize(("kind", "spec", "words"), REFUSED, ids=[f"{kind} {spec}" for kind, spec, _ in REFUSED])
def test_rows_that_are_no_condition_are_named(file, folder, kind, spec, words):
    spec = spec.format(data=file, folder=folder)
    with pytest.raises(UserError, match=words) as refusal:
        given(kind, spec)
    assert str(refusal.value).startswith(f"task.condition={spec} ")
    assert "\n" not in str(refusal.value) and str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("class", "grey.png", "is for models with conditioning=encoder, and this one has class"),
        ("encoder", "small.png", "is 4x8 RGB, but this model's images are 8x8 RGB"),
        ("encoder", "grey.png", "is 8x8 grey, but this model's images are 8x8 RGB"),
        ("encoder", "absent.png", "names no file"),
        ("encoder", "text.npz", "cannot be read as an image"),
    ],
)
def test_images_that_cannot_be_encoded_are_named(folder, kind, name, words):
    with pytest.raises(UserError, match=words) as refusal:
        given_condition(tiny(kind), 8, 8, image=str(folder / name))
    assert str(folder / name) in str(refusal.value) and str(refusal.value).endswith(".")


def test_a_label_is_for_models_of_classes(file):
    with pytest.raises(UserError, match=r"task.label=1 "):
        given_condition(tiny("vector"), 8, 8, label=1)


def test_weights_of_labels_and_images_alone_are_given_again(file, tmp_path):
    weights = np.array([[0.5, 0.5, 0], [0, 0, 1]], np.float32)
    np.savez(tmp_path / "samples.npz", label_weights=weights)
    assert given("class", f"{tmp_path}/samples.npz:1").tolist() == [[0, 0, 1]]
    np.save(tmp_path / "images.npy", COLUMNS["images"])
    assert torch.equal(given("encoder", f"{tmp_path}/images.npy:4"), given("encoder", f"{file}:4"))
