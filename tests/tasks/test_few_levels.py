import numpy as np

from tests.tasks.conftest import TINY


def test_training_on_zeros_and_ones_says_once_how_to_model_two_levels(call, caplog, tmp_path):
    images = np.random.default_rng(0).integers(0, 2, (12, 8, 8), np.uint8)
    np.savez(tmp_path / "data.npz", images=images)
    data = ("data=arrays", f"data.train={tmp_path}/data.npz", "data.batch_size=4", "data.val_size=4")
    for keys, times in (((), 1), (("data.levels=2",), 0)):
        caplog.clear()
        call(*data, *TINY, *keys, "trainer.max_steps=1", f"hydra.run.dir={tmp_path}/{times}")
        assert [record.levelname for record in caplog.records if "data.levels=2" in record.message] == [
            "WARNING"
        ] * times
