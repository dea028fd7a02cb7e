"""Learning-rate schedules: factors on every group's learning rate, by the number of optimiser steps taken.

Each takes the optimiser and ``total_steps``, the run's number of optimiser steps (None if unlimited), and returns a
``LambdaLR`` to be stepped once per optimiser step. Step k = 0, 1, ... of T uses factor(k):

- ``warmup`` W, in steps, or below 1 as a fraction of the run: the factor is multiplied by min(1, (k + 1) / W).
- ``final``: the factor that a decay reaches at step T, one step after the last. It stays there beyond.

The state is only the step number, so a run resumed with another ``total_steps`` uses the factors of the new length.
ValueError for arguments out of range.
"""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from pixelcnn.optim.ranges import require


def exponential(
    optimizer: Optimizer, total_steps: int | None = None, decay: float = 0.999995, warmup: float = 0
) -> LambdaLR:
    """decay ** (k + 1), as in the PixelCNN++ code, where the rate decays before each step, the first included."""
    require(0 < decay <= 1, "decay", decay, "a factor per step above 0, at most 1")
    return _schedule(optimizer, lambda step: decay ** (step + 1), _steps("warmup", warmup, total_steps))


def constant(optimizer: Optimizer, total_steps: int | None = None, warmup: float = 0) -> LambdaLR:
    """Constant at 1 after the warm-up."""
    return _schedule(optimizer, lambda step: 1.0, _steps("warmup", warmup, total_steps))


def linear(optimizer: Optimizer, total_steps: int | None, warmup: float = 0, final: float = 0.0) -> LambdaLR:
    """Linear from 1 at the end of the warm-up to ``final`` at the end of the run."""
    end = _known(total_steps)
    first = _steps("warmup", warmup, end)
    position = _decay_position(first, end, final)
    return _schedule(optimizer, lambda step: 1 - (1 - final) * position(step), first)


def cosine(optimizer: Optimizer, total_steps: int | None, warmup: float = 0, final: float = 0.0) -> LambdaLR:
    """Half a cosine from 1 at the end of the warm-up to ``final`` (Loshchilov and Hutter 2017, no restarts)."""
    end = _known(total_steps)
    first = _steps("warmup", warmup, end)
    position = _decay_position(first, end, final)
    return _schedule(optimizer, lambda step: final + (1 - final) * (1 + math.cos(math.pi * position(step))) / 2, first)


def trapezoid(
    optimizer: Optimizer, total_steps: int | None, warmup: float = 0, cooldown: float = 0.2, final: float = 0.0
) -> LambdaLR:
    """1 until the last ``cooldown`` steps, or fraction of the run, then linear to ``final``.

    Also called warm-up, stable, decay (Hu et al. 2024): a run can be extended from any step before its cooldown.
    """
    end = _known(total_steps)
    first, last = _steps("warmup", warmup, end), _steps("cooldown", cooldown, end)
    require(first + last <= end, "warmup + cooldown", first + last, f"at most {end}, the run's number of steps")
    position = _decay_position(end - last, end, final)
    return _schedule(optimizer, lambda step: 1 - (1 - final) * position(step), first)


def _schedule(optimizer: Optimizer, factor: Callable[[int], float], warmup: int) -> LambdaLR:
    # A function, not an object: LambdaLR would put an object's attributes into its state.
    if not warmup:
        return LambdaLR(optimizer, factor)
    return LambdaLR(optimizer, lambda step: factor(step) * min(1.0, (step + 1) / warmup))


def _steps(key: str, value: float, total_steps: int | None) -> int:
    """``value`` as a number of steps; below 1 it is a fraction of the run."""
    require(0 <= value < math.inf, key, value, "0 or more: a fraction of the run if below 1, else a number of steps")
    if 0 < value < 1:
        require(total_steps is not None, key, value, "a number of steps in a run whose length is not known")
        assert total_steps is not None
        return round(value * total_steps)
    require(value == int(value), key, value, "a whole number of steps, or a fraction of the run below 1")
    require(
        total_steps is None or value <= total_steps, key, value, f"at most {total_steps}, the run's number of steps"
    )
    return int(value)


def _known(total_steps: int | None) -> int:
    if total_steps is None:
        raise ValueError("total_steps=None: a schedule that decays to the run's end needs the run's number of steps.")
    return total_steps


def _decay_position(start: int, end: int, final: float) -> Callable[[int], float]:
    """How far a decay between two steps has come at a step, from 0 to 1."""
    require(0 <= final <= 1, "final", final, "a factor from 0 to 1")
    length = max(1, end - start)
    return lambda step: min(1.0, max(0.0, (step - start) / length))
