"""More memory than the machine has is refused, where a process would otherwise be ended without a word."""

import resource
from functools import partial

import pytest
import torch
from pixelcnn.shapes import TooLargeError, weights_of

from pixelcnn.conditioning import Encoder
from pixelcnn.memory_limit import available_memory, limited_memory
from pixelcnn.model import build
from tests.conftest import tiny_description

pytestmark = pytest.mark.skipif(available_memory() is None, reason="this system does not tell its memory")


def test_what_exceeds_the_machine_fails_and_leaves_no_limit():
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with limited_memory():
        assert torch.ones(10**6).sum() == 10**6
        # Allocated one after another without being used, as an overcommitting system would allow.
        kept = []
        with pytest.raises(RuntimeError, match="can't allocate memory"):
            for _ in range(1000):
                kept.append(torch.empty(available_memory() // 10, dtype=torch.uint8))
        del kept
    assert resource.getrlimit(resource.RLIMIT_DATA) == before


def test_the_weights_of_a_model_are_known_without_it():
    for description in (
        tiny_description(),
        tiny_description(conditioning=partial(Encoder, code_size=3, num_filters=4)),
    ):
        made, weighed = build(description).state_dict(), weights_of(description)
        assert list(made) == list(weighed) and all(weight.is_meta for weight in weighed.values())
        assert [(w.shape, w.dtype) for w in made.values()] == [(w.shape, w.dtype) for w in weighed.values()]


def test_weighing_stops_at_the_limit():
    total = sum(weight.numel() * weight.element_size() for weight in build(tiny_description()).parameters())
    weights_of(tiny_description(), total)
    with pytest.raises(TooLargeError):
        weights_of(tiny_description(), total - 1)


@pytest.mark.parametrize("filters", [10**6, 2**31, 2**53, 2**62, 2**70])
def test_no_number_is_too_large_to_be_weighed(filters):
    with pytest.raises(TooLargeError):
        weights_of(tiny_description(num_filters=filters), 10**12)
