"""Curves of bounded size for runs of any length."""

from typing import Any

CAPACITY = 1000  # points; half as many are enough to see a curve


class Curve:
    """Values against steps: every value at first, and in a long run the mean of equally many values per point.

    It never holds more than ``capacity`` points (an even number), and at least half as many once it was full. The
    caller leaves out values that are not finite.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        assert capacity >= 2 and capacity % 2 == 0, capacity
        self.capacity = capacity
        self.values_per_point = 1
        self._points: list[tuple[float, float]] = []  # mean step, mean value
        self._begun: list[tuple[float, float]] = []  # what the next point will be the mean of

    def add(self, step: int, value: float) -> None:
        """Steps come in ascending order."""
        self._begun.append((float(step), value))
        if len(self._begun) < self.values_per_point:
            return
        self._points.append(_mean(self._begun))
        self._begun = []
        if len(self._points) == self.capacity:
            self._points = [_mean(self._points[i : i + 2]) for i in range(0, self.capacity, 2)]
            self.values_per_point *= 2

    @property
    def points(self) -> list[tuple[float, float]]:
        """Step and value of each point; the last point may be the mean of fewer values."""
        return [*self._points, _mean(self._begun)] if self._begun else list(self._points)

    def state_dict(self) -> dict[str, Any]:
        """Plain containers, from which `load_state_dict` continues exactly."""
        return {"values_per_point": self.values_per_point, "points": list(self._points), "begun": list(self._begun)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over another curve's state, of the same capacity."""
        self.values_per_point = state["values_per_point"]
        self._points, self._begun = list(state["points"]), list(state["begun"])


def smoothed(values: list[float], width: int) -> list[float]:
    """The mean of up to ``width`` values around each, equally many before and after, fewer at both ends."""
    means = []
    for i in range(len(values)):
        reach = min(width // 2, i, len(values) - 1 - i)
        around = values[i - reach : i + reach + 1]
        means.append(sum(around) / len(around))
    return means


def _mean(points: list[tuple[float, float]]) -> tuple[float, float]:
    return sum(step for step, _ in points) / len(points), sum(value for _, value in points) / len(points)
