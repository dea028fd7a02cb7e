from pixelcnn.training.progress import ProgressLines, progress_bar
from tests.training.tiny import fit


def test_a_line_for_each_validation_where_there_is_no_terminal(tmp_path, capsys):
    bar = progress_bar()
    assert isinstance(bar, ProgressLines)
    trainer = fit(tmp_path, bar, max_steps=6, enable_progress_bar=True)
    lines = capsys.readouterr().out.splitlines()
    train, val = (trainer.callback_metrics[f"{split}/bits_per_dim"].item() for split in ("train", "val"))
    assert len(lines) == 2
    assert lines[0].startswith("epoch 0, step 4: ")
    assert lines[1] == f"epoch 1, step 6: train/bits_per_dim {train:.3f}, val/bits_per_dim {val:.3f}"
