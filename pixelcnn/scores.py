"""The names of scores, without heavy imports.

A score is logged as ``train/NAME``, ``val/NAME`` or ``test/NAME``, also in ``metrics.json``. NAME is bits_per_dim only
for exact scores of models that are not given the image itself.
"""

from collections.abc import Mapping
from math import log, log2, nan

OF_ITS_OWN = " given the code of each image"
IN_WORDS = {
    "bits_per_dim": "{} bits/dim",
    "bits_upper_bound": "at most {} bits/dim",
    "bits_given_code": "{} bits per sub-pixel" + OF_ITS_OWN,
    "bits_bound_given_code": "at most {} bits per sub-pixel" + OF_ITS_OWN,
    "energy_distance": "an energy distance of {} per sub-pixel",
}

INTERRUPTED = "interrupted"  # true in the ``metrics.json`` of a run cut short by Ctrl-C, else absent

COLOURS = ("red", "green", "blue")

NATS_PER_IMAGE, BITS_PER_IMAGE = "nats_per_image", "bits_per_image"


def by_channel(score_name: str, channels: int) -> list[str]:
    """The names of a score's parts, in bits per sub-pixel of one channel each: their mean is the score.

    Each is given the channels before it; grey images have no parts. If the score is a bound, only their sum is a bound.
    """
    return [f"{score_name}_{channel}" for channel in channel_names(channels)]


def channel_names(channels: int) -> tuple[str, ...]:
    """The names of an image's channels: colours, numbers if there are not three, none if there is one."""
    if channels == 1:
        return ()
    return COLOURS if channels == len(COLOURS) else tuple(f"channel_{number}" for number in range(channels))


def per_image(score_name: str) -> dict[str, float]:
    """The names under which a score is also logged per image, as in the MNIST literature, with their units in nats;
    only for exact scores of models that are not given the image itself."""
    return {NATS_PER_IMAGE: 1.0, BITS_PER_IMAGE: log(2)} if score_name == "bits_per_dim" else {}


def in_words(score_name: str, value: str, given: str | None = None) -> str:
    """``value`` of a score as text; ``given`` names the condition if all images were scored given the same one."""
    words = IN_WORDS[score_name].format(value)
    return words if given is None else f"{words.removesuffix(OF_ITS_OWN)} given {given}"


def as_label(score_name: str) -> str:
    """A score's name on the axis of a plot: bits/dim."""
    return score_name.replace("_per_", "/").replace("_", " ")


def worse_than_uniform(score_name: str, value: float, levels: int) -> bool:
    """Whether a score in bits per sub-pixel is above log2 of the ``levels``, the score of a uniform distribution."""
    return score_name != "energy_distance" and value > log2(levels)


def best_of(name: str) -> str:
    """The key in ``metrics.json`` of a run's best validation score; ``name`` is the key of the last one."""
    return f"best/{name}"


def score_of_run(metrics: Mapping[str, float | None]) -> tuple[str, float] | None:
    """Name and value of the score in a run's ``metrics.json`` that sweeps minimise: the best on validation images, or
    that on test images. NaN if it is null; None for tasks without a score and for runs cut short by Ctrl-C.
    """
    if metrics.get(INTERRUPTED):
        return None
    validated = [f"val/{name}" for name in IN_WORDS]
    names = [*map(best_of, validated), *validated, *(f"test/{name}" for name in IN_WORDS)]
    found = ((name, metrics[name]) for name in names if name in metrics)
    return next(((name, nan if value is None else value) for name, value in found), None)
