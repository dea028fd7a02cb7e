"""Every option composes, is typed by its schema and passes the checks; the defaults are the paper's."""

from functools import partial

import pytest
from omegaconf import OmegaConf

from pixelcnn.cli import CONF
from pixelcnn.conditioning import Unconditional
from pixelcnn.configuration.checks import check
from pixelcnn.configuration.description import describe, execution_of
from pixelcnn.configuration.groups import GROUPS, checked_group, parts_of
from pixelcnn.description import ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.execution import Execution
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import DiscretizedLogisticMixture
from pixelcnn.network import PixelCNNPP

OPTIONS = sorted((path.parent.name, path.stem) for path in CONF.glob("*/*.yaml"))


def test_the_options_are_found():
    assert {("data", "digits"), ("experiment", "cifar10"), ("task", "sample"), ("model", "pixelcnn_pp")} <= set(OPTIONS)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_passes_the_checks(composed, group, option):
    needed = {
        "import": ["task.source=some.npz"],
        "train": [],
        "info": [],
        "compare": ["task.runs=[outputs]"],
        "complete": ["checkpoint=some.ckpt", "task.mask=top:0.5"],
        "compress": ["checkpoint=some.ckpt"],
        "decompress": ["checkpoint=some.ckpt", "task.file=images.pxc"],
        "ood": ["checkpoint=some.ckpt", "data@against=digits"],
        "ratio": ["scores.ratio.background=some.ckpt"],
        "second": ["scores.second.background=some.ckpt"],
        "implicit": ["objective=energy_distance"],
    }
    others = needed.get(option, ["checkpoint=some.ckpt"] if group == "task" else [])
    check(composed(f"{group}={option}", *others))


@pytest.mark.parametrize("experiment", sorted(CONF.glob("experiment/*/*.yaml")), ids=lambda path: path.stem)
def test_every_comparison_composes_on_the_same_budget(composed, experiment):
    config = composed(f"experiment={experiment.relative_to(CONF / 'experiment').with_suffix('')}")
    check(config)
    shared, width = ("recipe/all", 32) if experiment.parent.name == "recipe" else ("minutes", 24)
    budget = composed(f"experiment={shared}")
    check(budget)
    assert (config.trainer, config.data) == (budget.trainer, budget.data)
    assert list(config.logger) == ["csv"] and config.model.num_filters == width


def test_each_ablation_differs_from_the_base_in_one_thing(composed):
    def flat(value, key=""):
        if not isinstance(value, dict):
            return {key: value}
        return {path: leaf for name, inner in value.items() for path, leaf in flat(inner, f"{key}.{name}").items()}

    base = flat(OmegaConf.to_container(composed("experiment=ablation/base")))
    for path in CONF.glob("experiment/ablation/*.yaml"):
        other = flat(OmegaConf.to_container(composed(f"experiment=ablation/{path.stem}")))
        changed = {key for key in base.keys() & other.keys() if base[key] != other[key]}
        assert len(changed) == (path.stem != "base"), (path.stem, changed)


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_is_typed_by_its_constructors(composed, group):
    for option in (path.stem for path in (CONF / group).glob("*.yaml")):
        config = composed(f"{group}={option}")
        for where in parts_of(config, group):
            part = OmegaConf.select(config, where)
            part.nonesuch = 1
            with pytest.raises(UserError, match=rf"^{where}.nonesuch "):
                checked_group(config, group)
            del part["nonesuch"]


def test_nothing_chosen_is_the_papers_model_and_optimiser(composed):
    config = composed()
    check(config)
    assert config.task.name == "train"
    network = partial(
        PixelCNNPP, num_filters=160, num_resnet_blocks=5, num_stages=3, nonlinearity="concat_elu", dropout=0.5
    )
    likelihood, shape = partial(DiscretizedLogisticMixture, num_mixtures=10, tails="exact"), ImageShape(3, 32, 32)
    assert describe(config, shape, {}) == ModelDescription(shape, network, likelihood, Unconditional)
    assert execution_of(config) == Execution(compile=False, channels_last=False, activation_checkpointing=False)
    assert config.objective == {"_target_": "pixelcnn.objective.MaximumLikelihood"}
    optim = {"lr": 1e-3, "betas": [0.95, 0.9995], "epsilon_inside_root": False, "groups": []}
    assert optim.items() <= OmegaConf.to_container(config.optim).items()
    assert config.optim._target_ == "pixelcnn.optim.Adam"
    assert config.scheduler == {"_target_": "pixelcnn.optim.exponential", "decay": 0.999995, "warmup": 0}
    assert (config.ema.decay, config.ema.warmup) == (0.9995, False)
    assert list(config.logger) == ["wandb"]
    assert config.data["_target_"] == "pixelcnn.data.cifar10.CIFAR10"


def test_the_presets_keep_what_they_promise(composed):
    paper = composed("experiment=cifar10")
    assert paper.data.batch_size == 128 and not paper.ema.warmup and paper.model == composed().model
    for small in ("digits", "cifar10_small"):
        assert composed(f"experiment={small}").ema.warmup
    assert "wandb" not in composed("experiment=digits").logger
    assert composed("experiment=small_imagenet").data._target_.endswith("SmallImageNet")


def test_the_command_line_stands_above_a_preset(composed):
    assert composed("experiment=digits", "trainer.max_epochs=2", "logger=none").trainer.max_epochs == 2


def test_the_data_seed_follows_the_seed(composed):
    assert composed("seed=7").data.seed == 7


@pytest.mark.parametrize("others", [[], ["experiment=digits"], ["likelihood=implicit", "data=digits"]])
def test_the_energy_distance_brings_the_likelihood_that_it_trains(composed, others):
    config = composed("objective=energy_distance", *others)
    assert config.likelihood == {"_target_": "pixelcnn.likelihood.Implicit", "num_features": 64, "num_noise": 4}
    assert config.objective.num_samples == 10
    check(config)


@pytest.mark.parametrize(
    ("objective", "likelihood", "has"),
    [
        ("energy_distance", "categorical", "a density"),
        ("energy_distance", "discretized_logistic_mixture", "a density"),
        ("max_likelihood", "implicit", "no density"),
    ],
)
def test_an_objective_refuses_what_it_cannot_train(composed, objective, likelihood, has):
    config = composed(f"objective={objective}", f"likelihood={likelihood}")
    with pytest.raises(UserError, match=f"objective={objective} .*likelihood={likelihood}.* {has}"):
        check(config)
    # What has its likelihood from a file is none of its concern.
    check(composed(f"objective={objective}", f"likelihood={likelihood}", "task=sample", "checkpoint=some.ckpt"))
