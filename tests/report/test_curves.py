import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelcnn.report.curves import Curve, smoothed

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=200)


@given(VALUES, st.sampled_from([2, 4, 8]), st.data())
def test_a_curve_is_small_and_means_what_was_added(values, capacity, data):
    curve = Curve(capacity)
    saved_at = data.draw(st.integers(0, len(values)))
    for step, value in enumerate(values):
        if step == saved_at:  # a resumed run continues from a checkpoint's state
            state = json.loads(json.dumps(curve.state_dict()))
            curve = Curve(capacity)
            curve.load_state_dict(state)
        curve.add(step, value)
    points = curve.points
    assert len(points) <= capacity and len(points) >= min(len(values), capacity // 2)
    width = curve.values_per_point
    for i, (step, value) in enumerate(points):
        of_point = range(i * width, min((i + 1) * width, len(values)))
        assert step == pytest.approx(sum(of_point) / len(of_point))
        assert value == pytest.approx(sum(values[k] for k in of_point) / len(of_point), abs=1e-9)


def test_a_short_curve_is_exact():
    curve = Curve(capacity=10)
    for step in range(9):
        curve.add(10 * step, step**2)
    assert curve.points == [(10 * step, step**2) for step in range(9)]


@given(VALUES, st.integers(0, 20))
def test_smoothing_keeps_straight_lines_and_ends(values, width):
    assert smoothed([2.0 * i for i in range(len(values))], width) == pytest.approx(
        [2.0 * i for i in range(len(values))]
    )
    means = smoothed(values, width)
    assert means[0] == values[0] and means[-1] == values[-1]
    assert min(values) - 1e-9 <= min(means) and max(means) <= max(values) + 1e-9
