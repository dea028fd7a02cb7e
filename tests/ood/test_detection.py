"""AUROC, AUPR and FPR at 95 % by their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixelcnn.ood import detection, of_batches

SCORES = st.lists(st.integers(-4, 4).map(lambda k: k * 100.0), min_size=1, max_size=30)  # with ties, far outside [0, 1]


def mann_whitney(inside, outside) -> float:
    """The probability that a score outside is higher, ties counting half."""
    inside, outside = np.asarray(inside)[:, None], np.asarray(outside)[None]
    return float((outside > inside).mean() + (outside == inside).mean() / 2)


def average_precision(inside, outside) -> float:
    """The sum of precision times the increase in recall over falling thresholds."""
    total, before = 0.0, 0.0
    for threshold in sorted({*inside, *outside}, reverse=True):
        found, wrong = sum(s >= threshold for s in outside), sum(s >= threshold for s in inside)
        recall = found / len(outside)
        total += (recall - before) * found / (found + wrong)
        before = recall
    return total


def fpr_at(inside, outside, tpr=0.95) -> float:
    thresholds = [t for t in {*inside, *outside} if np.mean([s >= t for s in outside]) >= tpr]
    return min(float(np.mean([s >= t for s in inside])) for t in thresholds)


@given(inside=SCORES, outside=SCORES)
def test_values_are_those_of_their_definitions(inside, outside):
    found = detection(np.array(inside), np.array(outside), resamples=1).values
    assert found["auroc"] == pytest.approx(mann_whitney(inside, outside), abs=1e-6)
    assert found["aupr"] == pytest.approx(average_precision(inside, outside), abs=1e-6)
    assert found["fpr95"] == pytest.approx(fpr_at(inside, outside), abs=1e-6)


@given(inside=SCORES, outside=SCORES)
def test_the_sets_exchanged_have_the_complement(inside, outside):
    one, other = (detection(np.array(a), np.array(b), 1).values for a, b in ((inside, outside), (outside, inside)))
    assert one["auroc"] + other["auroc"] == pytest.approx(1, abs=1e-6)


def test_infinite_scores_have_a_rank():
    found = detection(np.array([0.0, 1.0, -np.inf]), np.array([np.inf, 2.0]), resamples=1)
    assert found.values == {"auroc": 1.0, "aupr": 1.0, "fpr95": 0.0}


def test_intervals_hold_the_value_of_large_sets_in_most_cases():
    """Normal scores one standard deviation apart: AUROC is Phi(1 / sqrt 2) = 0.7602."""
    held = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        low, high = detection(rng.normal(0, 1, 80), rng.normal(1, 1, 60), 40, seed).intervals["auroc"]
        held += low < 0.7602 < high
        assert 0.05 < high - low < 0.3
    assert held >= 16


def test_intervals_repeat_with_the_seed():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(0, 1, 50), rng.normal(1, 1, 50)
    one, same, other = (detection(inside, outside, 20, seed).intervals for seed in (3, 3, 4))
    assert one == same != other


def test_batches_of_one_are_the_images_in_order():
    scores = np.array([3.0, -1.0, 2.0])
    for two_sided in (False, True):
        values, batch = of_batches(scores, two_sided=two_sided)
        np.testing.assert_array_equal(values, np.abs(scores) if two_sided else scores)
        np.testing.assert_array_equal(batch, [0, 1, 2])


@given(count=st.integers(2, 40), size=st.integers(2, 6), seed=st.integers(0, 100))
def test_every_batch_is_full_and_has_its_mean(count, size, seed):
    scores = np.random.default_rng(seed).normal(size=count)
    values, batch = of_batches(scores, size, seed=seed)
    assert len(values) == count // size and (batch == -1).sum() == count % size
    for k, value in enumerate(values):
        assert (batch == k).sum() == size and value == pytest.approx(scores[batch == k].mean())
