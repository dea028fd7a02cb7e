"""Which file has set a key, and which parts there are to leave out."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra

from pixelcnn.cli import CONF
from pixelcnn.configuration.groups import register
from pixelcnn.configuration.origins import preset_of, require_parts_to_leave_out
from pixelcnn.errors import UserError


@pytest.fixture(autouse=True)
def _set_up():
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.mark.parametrize(
    ("key", "overrides", "preset"),
    [
        ("model.num_filters", ["experiment=digits"], "experiment=digits"),
        ("model.num_filters", ["experiment=digits", "model.num_filters=3"], None),
        ("model.num_filters", [], None),  # by the group's own option
        ("model.num_stages", ["experiment=ablation/one_stage"], "experiment=ablation/one_stage"),
        ("model.num_filters", ["experiment=ablation/one_stage"], "experiment=ablation/base"),  # which it builds on
    ],
)
def test_a_key_is_from_the_last_file_that_sets_it(key, overrides, preset):
    assert preset_of(key, overrides) == preset


@pytest.mark.parametrize(
    "overrides",
    [
        ["callbacks.samples=null", "logger.wandb=null"],
        ["callbacks=none", "callbacks.samples=null"],  # of an option that is not chosen
        ["callbacks.mine._target_=package.Class", "callbacks.mine=null"],
        ["callbacks.samples.num_samples=null", "trainer.callbacks=null", "scheduler.warmup=null", "checkpoint=null"],
        ["callbacks.samples=null,null"],  # in a sweep
    ],
)
def test_what_is_there_may_be_left_out(overrides):
    require_parts_to_leave_out(overrides)


def test_what_is_not_there_may_not():
    with pytest.raises(UserError, match=r"^callbacks.sample=null .* did you mean callbacks.samples=null\?$"):
        require_parts_to_leave_out(["callbacks.sample=null"])


def test_values_may_refer_to_other_files(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "config.yaml").write_text("defaults: [experiment: null]\n")
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\nscheduler: {iters: '${trainer.max_steps}'}\n")
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert preset_of("scheduler.iters", ["experiment=mine"]) == "experiment=mine"
