"""Ranges of constructor arguments."""

import math


def require(condition: bool, key: str, value: object, must: str) -> None:
    """Raise ValueError naming ``key`` and its ``value`` and what it ``must`` be, unless ``condition`` holds."""
    if not condition:
        raise ValueError(f"{key}={value} is out of range: must be {must}.")


def require_learning_rate(key: str, value: float) -> None:
    """A learning rate is positive and finite."""
    require(0 < value < math.inf, key, value, "positive and finite")


def require_betas(key: str, value: tuple[float, float]) -> None:
    """Adam's two decay rates are from 0 to below 1."""
    require(len(value) == 2 and all(0 <= beta < 1 for beta in value), key, value, "two numbers from 0 to below 1")


def require_not_negative(key: str, value: float) -> None:
    """The value is 0 or more, and finite."""
    require(0 <= value < math.inf, key, value, "0 or more, and finite")
