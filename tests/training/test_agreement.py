"""What ranks tell each other while they train, known one call later."""

import pytest
import torch.distributed as dist

from pixelcnn.training.agreement import Agreement
from tests.tasks.test_distributed import exit_codes_of_two


def numbers_are_known_a_call_later():
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    agreement = Agreement(2)
    given = {0: [0, 0, 0, 0, 1, 0], 1: [0, 2, 2, 0, 0, 0]}[rank]
    # What is given to the call that returns a number is dropped: whoever still means it says it again.
    assert [agreement.on(number) for number in given] == [0, 0, 2, 0, 0, 1]
    assert agreement.last() == 0
    assert agreement.on(3 * rank) == 0 and agreement.last() == 3
    dist.destroy_process_group()


@pytest.mark.slow
def test_numbers_are_known_a_call_later():
    assert exit_codes_of_two(numbers_are_known_a_call_later) == [0, 0]


def test_one_process_agrees_with_itself_at_once():
    agreement = Agreement(1)
    assert [agreement.on(number) for number in (0, 2, 1)] == [0, 2, 1] and agreement.last() == 0
