"""The last value of everything logged is known after any interruption."""

import pytest

from pixelcnn.training.last_metrics import LastMetrics
from tests.training.test_leaving import Signal, left
from tests.training.tiny import checkpoint_of, fit, read

INITIALISATION = {"init/max_abs_mean": 0.25}


@pytest.mark.parametrize(
    ("hook", "steps"), [("on_train_batch_start", 5), ("on_validation_batch_start", 8), ("on_validation_end", 8)]
)
@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 2}])
def test_after_a_signal(tmp_path, hook, steps, options):
    options = {"max_epochs": 5, **options}
    last = LastMetrics(INITIALISATION)
    whole = last.of(fit(tmp_path / "whole", last, **options))
    left(tmp_path, LastMetrics(INITIALISATION), Signal(hook, steps), **options)
    stopped = read(tmp_path)["global_step"]
    assert stopped < read(tmp_path / "whole")["global_step"]
    there = LastMetrics({})
    expected = there.of(fit(tmp_path / "there", there, max_steps=stopped, **options))
    kept = read(tmp_path)["metrics"]
    for name in ("train/bits_per_dim", "train/gradient_norm", "lr", "images"):
        assert kept[name] == expected[name]
    last = LastMetrics({})
    assert last.of(fit(tmp_path, last, checkpoint=checkpoint_of(tmp_path), **options)) == whole


def test_a_finished_run_keeps_what_it_logged(tmp_path):
    first, again = LastMetrics(INITIALISATION), LastMetrics({})
    whole = first.of(fit(tmp_path, first, max_steps=6))
    assert again.of(fit(tmp_path, again, checkpoint=checkpoint_of(tmp_path), max_steps=6)) == whole
    assert whole["init/max_abs_mean"] == 0.25 and "lr" in whole
