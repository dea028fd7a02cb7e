"""Every option composes, is typed by its schema and passes the checks; the defaults are the paper's."""

from functools import partial

import pytest
from omegaconf import OmegaConf
from pixelcnn.configuration.network import execution_of, network_options
from pixelcnn.configuration.schemas import AdamOptions, Config, EMAOptions
from pixelcnn.configuration.store import GROUPS

from pixelcnn.configuration.checks import check
from pixelcnn.errors import UserError
from pixelcnn.execution import Execution
from pixelcnn.likelihood import DiscretizedLogisticMixture, Implicit
from pixelcnn.network import PixelCNNPP
from run import CONF

OPTIONS = sorted((path.parent.name, path.stem) for path in CONF.glob("*/*.yaml"))


def test_the_options_are_found():
    assert {("data", "digits"), ("experiment", "cifar10"), ("task", "sample"), ("model", "pixelcnn_pp")} <= set(OPTIONS)


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes_and_passes_the_checks(composed, group, option):
    needed = {
        "import": ["task.source=some.npz"],
        "train": [],
        "complete": ["checkpoint=some.ckpt", "task.mask=top:0.5"],
        "implicit": ["objective=energy_distance"],
    }
    others = needed.get(option, ["checkpoint=some.ckpt"] if group == "task" else [])
    check(composed(f"{group}={option}", *others))


@pytest.mark.parametrize("experiment", sorted(CONF.glob("experiment/*/*.yaml")), ids=lambda path: path.stem)
def test_every_comparison_composes_on_the_same_budget(composed, experiment):
    config = composed(f"experiment={experiment.relative_to(CONF / 'experiment').with_suffix('')}")
    check(config)
    budget = composed("experiment=minutes")
    assert (config.trainer, config.data) == (budget.trainer, budget.data)
    assert config.logger.name == "csv" and config.model.num_filters == 24


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
def test_every_option_with_a_schema_is_typed_by_it(composed, group):
    assert {path.stem for path in (CONF / group).glob("*.yaml")} == set(GROUPS[group])
    for option, schema in GROUPS[group].items():
        assert OmegaConf.get_type(composed(f"{group}={option}")[group]) is schema


def test_nothing_chosen_is_the_papers_model_and_optimiser(composed):
    config: Config = OmegaConf.to_object(composed())  # type: ignore[assignment]
    assert config.task.name == "train"
    assert network_options(config.model) == partial(
        PixelCNNPP, num_filters=160, num_resnet_blocks=5, num_stages=3, nonlinearity="concat_elu", dropout=0.5
    )
    assert execution_of(composed()) == Execution(compile=False, channels_last=False, activation_checkpointing=False)
    assert config.likelihood == partial(DiscretizedLogisticMixture, num_mixtures=10, tails="exact")
    assert config.conditioning.name == "none"
    assert config.objective.name == "max_likelihood"
    assert config.optim == AdamOptions(1e-3, [0.95, 0.9995], 0.999995, False)
    assert config.ema == EMAOptions(0.9995, False)
    assert config.logger.name == "wandb"
    assert config.data["_target_"] == "pixelcnn.data.cifar10.CIFAR10"


def test_the_presets_keep_what_they_promise(composed):
    paper = composed("experiment=cifar10")
    assert paper.data.batch_size == 128 and not paper.ema.warmup and paper.model == composed().model
    for small in ("digits", "cifar10_small"):
        assert composed(f"experiment={small}").ema.warmup
    assert composed("experiment=digits").logger.name != "wandb"
    assert composed("experiment=small_imagenet").data._target_.endswith("SmallImageNet")


def test_the_command_line_stands_above_a_preset(composed):
    assert composed("experiment=digits", "trainer.max_epochs=2", "logger=none").trainer.max_epochs == 2


def test_the_data_seed_follows_the_seed(composed):
    assert composed("seed=7").data.seed == 7


@pytest.mark.parametrize("others", [[], ["experiment=digits"], ["likelihood=implicit", "data=digits"]])
def test_the_energy_distance_brings_the_likelihood_that_it_trains(composed, others):
    config = composed("objective=energy_distance", *others)
    assert OmegaConf.to_object(config.likelihood) == partial(Implicit, num_features=64, num_noise=4)
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
    with pytest.raises(UserError, match=f"objective={objective} does not train likelihood={likelihood}, .* {has}"):
        check(config)
    # What has its likelihood from a file is none of its concern.
    check(composed(f"objective={objective}", f"likelihood={likelihood}", "task=sample", "checkpoint=some.ckpt"))
