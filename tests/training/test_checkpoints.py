import pytest

from tests.training.tiny import Validations, checkpoint_of, fit, read, tiny_module


def test_best_is_the_lowest_validation(tmp_path):
    validations = Validations()
    fit(tmp_path, validations, module=tiny_module(lr=0.1, lr_decay=1.0), max_epochs=6)
    best = min(zip(validations.values, validations.steps, strict=True))
    assert best[1] not in (validations.steps[0], validations.steps[-1])  # else this shows nothing
    assert read(tmp_path, "best")["global_step"] == best[1]
    assert read(tmp_path, "last")["global_step"] == validations.steps[-1]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]


def test_files_keep_their_names(tmp_path):
    for steps in (2, 3):
        fit(tmp_path, max_steps=steps)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert read(tmp_path, "best")["global_step"] == 3


@pytest.mark.parametrize("same_directory", [True, False])
def test_best_of_a_resumed_run(tmp_path, same_directory):
    module = tiny_module(lr=0.1, lr_decay=1.0)
    validations = Validations()
    fit(tmp_path / "run", validations, module=module, max_epochs=4)
    before = read(tmp_path / "run", "best")["global_step"]
    directory = tmp_path / "run" if same_directory else tmp_path / "other"
    fit(directory, validations, module=module, checkpoint=checkpoint_of(tmp_path / "run"), max_epochs=5)
    assert validations.values[-1] > min(validations.values)  # else this shows nothing
    assert read(directory, "best")["global_step"] == (before if same_directory else validations.steps[-1])
    assert len(list((directory / "checkpoints").iterdir())) == 2
