"""What the page shows is what the model draws and scores."""

import threading
import time
from functools import partial
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from pixelcnn.conditioning import Encoder, Vectors
from pixelcnn.errors import UserError
from pixelcnn.explore.explorer import Choice, Explorer, by_row, enlarged, fitted, mapped, unpainted
from pixelcnn.image_shape import ImageShape
from pixelcnn.pictures import black_to_white
from pixelcnn.sampling.sampler import Temperature
from pixelcnn.tasks.explore import short_names
from tests.conftest import random_images, tiny_model

CHOICE = Choice(seed=3, mixture_temperature=0.5, scale_temperature=0.7, label=None, place=0)
SIZE = dict(height=4, width=4, num_stages=1)


def test_samples_grow_row_by_row():
    model = tiny_model(**SIZE)
    expected = model.sample(2, seed=3, temperature=Temperature(0.5, 0.7))
    frames = list(Explorer("a", model, None).drawn(2, CHOICE))
    assert len(frames) == 4 and torch.equal(frames[-1], expected)
    for row, frame in enumerate(frames, start=1):
        assert torch.equal(frame[:, :, :row], expected[:, :, :row])
        assert (frame[:, :, row:] == 128).all()  # grey


def test_completions_keep_what_is_not_painted_over():
    model = tiny_model(**SIZE)
    image, known = random_images(model, 1), torch.ones(4, 4, dtype=torch.bool)
    known[1:3, 1:3] = False
    frames = list(Explorer("a", model, None).completed(image, known, 3, CHOICE))
    expected, _ = model.complete(image.repeat(3, 1, 1, 1), known, seed=3, temperature=Temperature(0.5, 0.7))
    assert torch.equal(frames[-1], expected) and not torch.equal(expected[0], expected[1])
    assert all(torch.equal(frame[:, :, known], expected[:, :, known]) for frame in frames)
    assert (frames[0][:, :, ~known] == 128).all()


def test_an_error_in_drawing_is_raised_where_rows_are_read():
    def draw(on_row):
        on_row(torch.zeros(1))
        raise UserError("no.")

    rows = by_row(draw)
    next(rows)
    with pytest.raises(UserError, match=r"^no\."):
        next(rows)


def test_drawing_ends_when_nobody_reads_it():
    ended = threading.Event()

    def draw(on_row):
        try:
            for _ in range(10_000):
                on_row(torch.zeros(1))
                time.sleep(0.001)
        except BaseException:
            ended.set()
            raise

    rows = by_row(draw)
    next(rows)
    rows.close()
    assert ended.wait(120)


@pytest.mark.parametrize("label", [None, 2])
def test_classes_are_chosen_or_drawn_in_turn(classes, label):
    from pixelcnn import load

    model = load(classes)
    choice = Choice(0, 1.0, 1.0, label, 0)
    labels = torch.tensor([0, 1] if label is None else [2, 2])
    *_, drawn = Explorer("a", model, None).drawn(2, choice)
    assert torch.equal(drawn, model.sample(2, labels))
    image = random_images(model, 1)
    with torch.no_grad():
        expected = model.bits(image, labels[:1])[0]
    torch.testing.assert_close(Explorer("a", model, None).score_map(image, choice), expected)


def test_an_auto_encoder_is_given_the_image_itself():
    model = tiny_model(**SIZE, conditioning=partial(Encoder, code_size=2, num_filters=3))
    image = random_images(model, 1)
    with torch.no_grad():
        expected = model.score_map(image, image)[0]
    torch.testing.assert_close(Explorer("a", model, None).score_map(image, CHOICE), expected)
    mapped(image, [Explorer("a", model, None)], CHOICE)


def test_a_condition_that_is_not_here_is_asked_for():
    model = tiny_model(**SIZE, conditioning=partial(Vectors, num_features=2))
    with pytest.raises(UserError, match=r"data="):
        Explorer("a", model, None).drawn(1, CHOICE)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_an_enlarged_image_of_the_model_comes_back(channels, levels):
    shape = ImageShape(channels, 6, 4, levels)
    images = torch.randint(0, levels, (1, channels, 6, 4)).to(torch.uint8)
    shown = enlarged(black_to_white(images, levels)[0].expand(3, -1, -1))
    assert torch.equal(fitted(shown, shape), images)


def test_levels_that_a_picture_does_not_keep_are_refused():
    with pytest.raises(UserError, match=r"\b257 levels.*task=complete"):
        fitted(np.zeros((4, 4, 3), np.uint8), ImageShape(1, 4, 4, 257))


def test_paint_covers_the_pixels_below_it():
    shape = ImageShape(1, 4, 4)
    layer = np.zeros((40, 40, 4), np.uint8)
    layer[10:20, 20:40, 3] = 255  # row 1, columns 2 and 3
    layer[0:3, 0:3, 3] = 255  # a tenth of the first pixel
    known = unpainted([layer], shape)
    assert (~known).nonzero().tolist() == [[1, 2], [1, 3]]
    with pytest.raises(UserError, match=r"top:0.5"):
        unpainted([np.zeros((40, 40, 4), np.uint8)], shape)


def test_two_checkpoints_are_of_the_same_images(arrays, call, classes, tmp_path):
    keys = (*arrays, "task=explore", f"checkpoint={classes}", f"hydra.run.dir={tmp_path}/run")
    with pytest.raises(SystemExit, match=r"^task.beside=cifar10_small .*checkpoint="):
        call(*keys, "task.beside=cifar10_small")
    with pytest.raises(SystemExit, match=r"^task.beside=.*/none.ckpt "):
        call(*keys, f"task.beside={tmp_path}/none.ckpt")
    assert short_names(["runs/a/checkpoints/best.ckpt", "runs/b/checkpoints/best.ckpt"]) == ["a", "b"]
    assert short_names(["cifar10_small"]) == ["cifar10_small"]


@pytest.mark.skipif(find_spec("gradio") is not None, reason="gradio is installed")
def test_the_page_needs_gradio(arrays, call, classes, tmp_path):
    with pytest.raises(SystemExit, match=r"^task=explore .*gradio.* requirements-explore.txt"):
        call(*arrays, "task=explore", f"checkpoint={classes}", f"hydra.run.dir={tmp_path}/run")
