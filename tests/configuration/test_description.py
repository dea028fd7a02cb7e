"""A checkpoint's model is kept: what the command line says of it must agree, and only that is compared."""

from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from pixelcnn.conditioning import ClassLabels, Maps, Vectors
from pixelcnn.configuration.description import describe, require_agreement, require_same_weights, revise
from pixelcnn.configuration.same_run import require_same_run
from pixelcnn.description import GIVEN, ModelDescription
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape
from pixelcnn.likelihood import DiscretizedLogisticMixture
from pixelcnn.model import build
from pixelcnn.network import PixelCNNPP
from pixelcnn.part import Part

SHAPE = ImageShape(3, 32, 32)
NETWORK = partial(PixelCNNPP, num_filters=8, num_resnet_blocks=2, num_stages=3, nonlinearity="elu", dropout=0.0)


class AnotherNetwork(PixelCNNPP):
    name = "another_network"


def part(target: type, **arguments: Any) -> Part:
    role = target.__module__.split(".")[1]
    return Part.of(partial(target, **arguments), GIVEN[role])


def stored(composed) -> ModelDescription:
    return replace(describe(composed(), SHAPE, {}), network=NETWORK)


def test_a_description_holds_what_was_composed(composed):
    description = describe(composed("model.num_filters=8", "likelihood.num_mixtures=3", "model.dropout=0"), SHAPE, {})
    assert description.image == SHAPE
    assert description.network == part(
        PixelCNNPP, num_filters=8, num_resnet_blocks=5, num_stages=3, nonlinearity="concat_elu", dropout=0.0
    )
    assert description.likelihood["num_mixtures"] == 3 and description.conditioning.name == "none"
    assert ModelDescription.from_dict(description.to_dict()) == description


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["optim.lr=3", "experiment=digits"],
        ["model=pixelcnn_pp", "likelihood=discretized_logistic_mixture", "conditioning=none"],
        ["model.num_filters=8", "model.nonlinearity=elu", "model.dropout=0", "likelihood.num_mixtures=10"],
        ["model={num_filters: 8}", "++model.num_stages=3"],
        ["model.compile=true", "model.channels_last=true", "model.activation_checkpointing=true"],  # no architecture
    ],
)
def test_agreement_is_accepted(composed, overrides):
    require_agreement(stored(composed), "a.ckpt", composed(*overrides), overrides, SHAPE)


@pytest.mark.parametrize(
    ("override", "asked", "present"),
    [
        ("model.num_filters=16", "model.num_filters=16", "model.num_filters=8"),
        ("++model.num_stages=2", "model.num_stages=2", "model.num_stages=3"),
        ("model={dropout: 0.5}", "model.dropout=0.5", "model.dropout=0.0"),
        ("likelihood.tails=original", "likelihood.tails=original", "likelihood.tails=exact"),
    ],
)
def test_disagreement_is_refused_with_both_values(composed, override, asked, present):
    with pytest.raises(UserError) as refusal:
        require_agreement(stored(composed), "a.ckpt", composed(override), [override])
    assert all(word in str(refusal.value) for word in (asked, present, "checkpoint=a.ckpt"))


def test_another_option_of_a_group_is_refused(composed):
    other = replace(stored(composed), network=AnotherNetwork)
    with pytest.raises(UserError, match=r"model=pixelcnn_pp .* model=another_network"):
        require_agreement(other, "a.ckpt", composed(), ["model=pixelcnn_pp"])


def test_images_of_another_shape_are_refused(composed):
    grey = ImageShape(1, 8, 8, 17)
    with pytest.raises(UserError, match=r"1 channels with 17 levels.*checkpoint=a.ckpt.*3 channels with 256"):
        require_agreement(stored(composed), "a.ckpt", composed(), [], grey)
    with pytest.raises(UserError, match=r"init_from=a.ckpt"):
        revise(stored(composed), "a.ckpt", composed(), [], grey, {})


def test_a_revised_description_takes_over_only_what_was_said(composed):
    overrides = ["model.dropout=0.25", "likelihood.tails=original", "model=pixelcnn_pp", "optim.lr=2"]
    revised = revise(stored(composed), "a.ckpt", composed(*overrides), overrides, SHAPE, {})
    assert revised.network == part(PixelCNNPP, **{**NETWORK.keywords, "dropout": 0.25})
    assert revised.likelihood == part(DiscretizedLogisticMixture, tails="original")
    assert revise(stored(composed), "a.ckpt", composed(), [], SHAPE, {}) == stored(composed)


def test_a_revision_is_in_range(composed):
    with pytest.raises(UserError, match=r"model.dropout=2"):
        build(revise(stored(composed), "a.ckpt", composed("model.dropout=2"), ["model.dropout=2"], SHAPE, {}))


def test_the_number_of_classes_is_the_data_sets(composed):
    labelled = composed("conditioning=class")
    assert describe(labelled, SHAPE, {"labels": 10}).conditioning == part(ClassLabels, num_classes=10)
    with pytest.raises(UserError, match=r"conditioning=class .*labels"):
        describe(labelled, SHAPE, {})


def test_the_number_of_features_is_the_data_sets(composed):
    sizes = {"labels": 10, "embeddings": 5, "maps": 2}
    for kind, column, sized in (
        ("vector", "embeddings", part(Vectors, num_features=5)),
        ("spatial", "maps", part(Maps, num_features=2)),
    ):
        assert describe(composed(f"conditioning={kind}"), SHAPE, sizes).conditioning == sized
        with pytest.raises(UserError, match=rf"conditioning={kind} .*{column}"):
            describe(composed(f"conditioning={kind}"), SHAPE, {"labels": 10})
        given = composed(f"conditioning={kind}", "conditioning.num_features=3")
        with pytest.raises(UserError, match=rf"conditioning.num_features=3 .*{column}.* {sizes[column]}"):
            describe(given, SHAPE, sizes)
    assert describe(composed("conditioning=encoder"), SHAPE, {}).conditioning["code_size"] == 10


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["model.dropout=0.1", "model.num_filters=8"], "model.num_filters=8 does not .* with model.num_filters=160"),
        (["model.num_stages=2"], "model.num_stages=2 does not .* with model.num_stages=3"),
        (["likelihood.num_mixtures=5"], "likelihood.num_mixtures=5 does not .* with likelihood.num_mixtures=10"),
        (
            ["likelihood=logistic_mixture", "likelihood.num_mixtures=3"],
            "num_mixtures=3 does .*_mixtures=10: give that",
        ),
        (["model=gated_pixelcnn"], "model=gated_pixelcnn does not .* with model=pixelcnn_pp"),
        (["conditioning=class"], "conditioning=class does not .* with conditioning=none"),
    ],
)
def test_an_option_that_the_weights_to_start_from_do_not_fit_is_named(composed, overrides, told):
    before = describe(composed(), SHAPE, {})
    revised = revise(before, "a.ckpt", composed(*overrides), overrides, SHAPE, {"labels": 10})
    with pytest.raises(UserError, match=told):
        require_same_weights(before, revised, "a.ckpt")


@pytest.mark.parametrize("override", ["model.dropout=0.1", "model.nonlinearity=relu", "likelihood=logistic_mixture"])
def test_what_the_weights_do_not_depend_on_may_change(composed, override):
    before = describe(composed("model.nonlinearity=elu"), SHAPE, {})
    require_same_weights(before, revise(before, "a.ckpt", composed(override), [override], SHAPE, {}), "a.ckpt")


def test_an_encoder_for_images_of_another_size_is_refused(composed):
    before = describe(composed("conditioning=encoder"), SHAPE, {})
    revised = replace(before, image=ImageShape(3, 64, 64))
    with pytest.raises(UserError, match=r"init_from=a.ckpt .*32x32.* 64x64"):
        require_same_weights(before, revised, "a.ckpt")


@pytest.mark.parametrize(
    ("sizes", "told"),
    [
        ({"labels": 100}, "data has labels up to 99, init_from=a.ckpt knows 0 to 9"),
        ({}, "data has no labels, which init_from=a.ckpt is conditioned on"),
    ],
)
def test_data_without_the_conditions_of_weights_to_start_from_are_refused(composed, sizes, told):
    before = describe(composed("conditioning=class"), SHAPE, {"labels": 10})
    with pytest.raises(UserError, match=told):
        revise(before, "a.ckpt", composed(), [], SHAPE, sizes)


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "${seed}", "${nothing}", "${", "\x1b[31mred"])
def test_what_a_file_interpolates_is_compared_as_it_is_written(composed, text):
    config = composed("checkpoint=a.ckpt")
    require_same_run({"config": {"seed": config.seed, "data": text}}, {}, config, ("seed", "data.val_size"))
    with pytest.raises(UserError) as refusal:
        require_same_run({"config": {"seed": text}}, {}, config, ("seed",))
    written = text.replace("\x1b", "\\x1b")
    assert f"whose run has seed={written}:" in str(refusal.value)
