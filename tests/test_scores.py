"""What scores are called, and what they are worth."""

import pytest

from pixelcnn.scores import worse_than_uniform


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
