"""Plots of values that are no ordinary ones."""

import pytest

from pixelcnn.report.plots import Line, curves, histogram

pytestmark = pytest.mark.drawn


@pytest.mark.parametrize("values", [[2.5], [0.0, 0.0], [3e8, 3e8], [3e8, 3e8 + 1e-7], [-1e30, 1e30], [0.0, 5e-324]])
def test_a_histogram_of_values_that_hardly_differ(values):
    assert "Histogram" in histogram(values, "bits/dim", values[0]).alt


def test_an_axis_shows_its_values_and_no_offset(monkeypatch):
    monkeypatch.setattr("pixelcnn.report.plots._picture", lambda figure, *_: figure)
    figure = curves([Line("lr", [(step, 0.003 - 1e-8 * step) for step in range(50)])], "learning rate")
    figure.draw_without_rendering()
    assert figure.axes[0].yaxis.get_offset_text().get_text() == ""
