"""What scores are called, and what they are worth."""

import math

import pytest

from pixelcnn.scores import in_words, score_of_run, worse_than_uniform


@pytest.mark.parametrize(
    ("name", "value", "levels", "worse"),
    [
        ("bits_per_dim", 8.01, 256, True),
        ("bits_per_dim", 7.99, 256, False),
        ("bits_upper_bound", 3e8, 17, True),
        ("bits_given_code", 1.1, 2, True),
        ("energy_distance", 100.0, 256, False),
    ],
)
def test_what_knowing_nothing_would_score(name, value, levels, worse):
    assert worse_than_uniform(name, value, levels) is worse


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bits_per_dim", "1.5 bits/dim given task.label=3"),
        ("bits_upper_bound", "at most 1.5 bits/dim given task.label=3"),
        ("bits_given_code", "1.5 bits per sub-pixel given task.label=3"),
        ("bits_bound_given_code", "at most 1.5 bits per sub-pixel given task.label=3"),
    ],
)
def test_what_all_images_are_given_is_said_in_place_of_their_own_codes(name, words):
    assert in_words(name, "1.5", "task.label=3") == words
    assert ("the code of each image" in in_words(name, "1.5")) is name.endswith("given_code")


@pytest.mark.parametrize(
    ("metrics", "score"),
    [
        ({"val/bits_per_dim": 3.0, "best/val/bits_per_dim": 2.0}, ("best/val/bits_per_dim", 2.0)),
        ({"val/energy_distance": 3.0, "step": 1}, ("val/energy_distance", 3.0)),
        ({"test/bits_upper_bound": 0.0}, ("test/bits_upper_bound", 0.0)),
        ({"val/bits_per_dim": 3.0, "interrupted": True}, None),
        ({"step": 3}, None),
    ],
)
def test_what_a_sweep_compares(metrics, score):
    assert score_of_run(metrics) == score


def test_what_a_sweep_compares_may_be_no_number():
    name, value = score_of_run({"val/bits_per_dim": None, "lr": 0.1})
    assert name == "val/bits_per_dim" and math.isnan(value)
