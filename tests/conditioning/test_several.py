"""Several conditions at once: their features add up in every block, and each is what it is alone."""

from functools import partial

import pytest
import torch

from pixelcnn import PixelModel, UserError
from pixelcnn.conditioning import ClassLabels, CoarseCodes, Encoder, Maps, Several, Unconditional, Vectors
from pixelcnn.network.blocks import GatedResidualBlock, project
from tests.conftest import random_images, tiny_model

SMALL = dict(height=8, width=4, num_filters=3)
LABELS, VECTORS, MAPS = (
    partial(ClassLabels, num_classes=3),
    partial(Vectors, num_features=2),
    partial(Maps, num_features=2),
)
COARSE = partial(CoarseCodes, num_codes=5, num_features=2)


@pytest.mark.parametrize(("second", "shape"), [(VECTORS, (2,)), (MAPS, (2, 8, 4)), (MAPS, (2, 4, 2))])
def test_in_every_block_the_products_add_up(second, shape):
    model = tiny_model(torch.float64, conditioning={"class": LABELS, "second": second}, **SMALL)
    key = "embeddings" if len(shape) == 1 else "maps"
    images, labels, other = random_images(model, 3), torch.tensor([2, 0, 1]), torch.randn(3, *shape).double()
    seen = []
    for block in model.modules():
        if isinstance(block, GatedResidualBlock):
            block.register_forward_pre_hook(
                lambda block, x, given: seen.append((block.hw, given["h"])), with_kwargs=True
            )
    with torch.no_grad():
        model.log_prob(images, {"labels": labels, key: other})
    assert len(seen) == 6 + 10  # blocks of the up and the down pass
    for hw, h in seen:
        torch.testing.assert_close(project(h, hw), hw[:3][labels].view(3, -1, 1, 1) + project(h[:, 3:], hw[3:]))
    # Where the second condition is zero the model is the first's alone, and the other way round.
    alone = tiny_model(torch.float64, conditioning=LABELS, **SMALL)
    alone.load_state_dict(
        {name: value[:3] if name.endswith(".hw") else value for name, value in model.state_dict().items()}
    )
    with torch.no_grad():
        both = model.log_prob(images, {"labels": labels, key: torch.zeros_like(other)})
        torch.testing.assert_close(both, alone.log_prob(images, labels))
    alone = tiny_model(torch.float64, conditioning=second, **SMALL)
    alone.load_state_dict(
        {name: value[3:] if name.endswith(".hw") else value for name, value in model.state_dict().items()}
    )
    with torch.no_grad():
        both = model.log_prob(images, {"labels": torch.zeros(3, 3), key: other})
        torch.testing.assert_close(both, alone.log_prob(images, other))


def test_maps_of_a_lower_resolution_are_repeated():
    model = tiny_model(torch.float64, conditioning=MAPS, **SMALL)
    images, maps = random_images(model, 2), torch.randn(2, 2, 2, 4)
    repeated = maps.repeat_interleave(4, dim=2)
    with torch.no_grad():
        assert torch.equal(model.log_prob(images, maps), model.log_prob(images, repeated))
    assert torch.equal(model.sample(2, maps, seed=1), model.sample(2, repeated, seed=1))
    with pytest.raises(UserError, match=r"\(2, 2, 3, 4\).*divides"):
        model.log_prob(images, torch.randn(2, 2, 3, 4))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_coarse_codes_are_their_embeddings(dtype):
    model = tiny_model(torch.float64, conditioning=COARSE, **SMALL)
    as_maps = tiny_model(torch.float64, conditioning=MAPS, **SMALL)
    weights = model.state_dict()
    embedding = weights.pop("conditioning.embedding")
    as_maps.load_state_dict(weights)
    images, codes = random_images(model, 3), torch.randint(5, (3, 4, 2)).to(dtype)
    maps = embedding[codes.long()].permute(0, 3, 1, 2)
    with torch.no_grad():
        expected = as_maps.log_prob(images, maps)
        assert torch.equal(model.log_prob(images, codes), expected)
        assert torch.equal(model.log_prob(images, maps), expected)
    model.log_prob(images, codes).sum().backward()
    used = torch.zeros(5, dtype=torch.bool).index_fill(0, codes.long().flatten(), True)
    assert torch.equal(model.conditioning.embedding.grad.ne(0).any(dim=1), used)


CODES = torch.zeros(2, 4, 2, dtype=torch.int64)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (None, "conditioning=coarse needs codes"),
        (CODES.float(), "torch.float32"),
        (CODES.bool(), "torch.bool"),
        (CODES[:1], r"\(1, 4, 2\)"),
        (CODES[:, :3], r"\(2, 3, 2\) is not maps for images of 8x4"),
        (CODES + 5, r"5\.\.5, but the model knows 0\.\.4"),
        (CODES - 1, r"-1\.\.-1"),
    ],
)
def test_other_codes_are_refused(codes, words):
    model = tiny_model(conditioning=COARSE, **SMALL)
    with pytest.raises(UserError, match=words):
        model.log_prob(random_images(model, 2), codes)


GIVEN = {"labels": torch.tensor([0, 1]), "maps": torch.zeros(2, 2, 8, 4)}


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (None, r"no labels.*\[class,spatial\]"),
        (GIVEN["labels"], r"\[class,spatial\] takes a mapping of labels and maps"),
        ({"labels": GIVEN["labels"]}, r"no maps.*\[class,spatial\]"),
        ({**GIVEN, "embeddings": torch.zeros(2, 3)}, "takes a mapping of labels and maps"),
        ({**GIVEN, "labels": [0, 1]}, "of type list"),
        ({**GIVEN, "labels": torch.tensor([0, 3])}, r"labels 0\.\.3"),
    ],
)
def test_other_mappings_are_refused(condition, words):
    model = tiny_model(conditioning={"class": LABELS, "spatial": MAPS}, **SMALL)
    with pytest.raises(UserError, match=words):
        model.log_prob(random_images(model, 2), condition)


@pytest.mark.parametrize(
    ("conditioning", "words"),
    [
        ({"class": LABELS, "none": partial(Unconditional)}, r"\[class,none\] has none"),
        ({"a": MAPS, "b": MAPS}, r"\[a,b\] takes maps twice"),
        ({"class": partial(ClassLabels, num_classes=0)}, r"conditioning\.class\.num_classes=0"),
        ({"class": partial(ClassLabels, num_clases=3)}, r"conditioning\.class\.num_clases"),
    ],
)
def test_kinds_that_do_not_combine_are_refused(conditioning, words):
    with pytest.raises(UserError, match=words):
        tiny_model(conditioning=conditioning, **SMALL)


def test_none_at_all_is_refused():
    with pytest.raises(UserError, match=r"conditioning=\{\}"):
        PixelModel((1, 8, 8), conditioning={})


def test_classification_is_given_the_others():
    model = tiny_model(torch.float64, conditioning={"class": LABELS, "spatial": MAPS}, **SMALL)
    images, maps = random_images(model, 4), torch.randn(4, 2, 8, 4)
    assert model.num_classes == 3
    with torch.no_grad():
        joint = torch.stack(
            [model.log_prob(images, {"labels": torch.full((4,), k), "maps": maps}) for k in range(3)], dim=1
        )
        posterior = model.classify(images, batch_size=5, condition={"maps": maps})
    torch.testing.assert_close(posterior, joint.log_softmax(dim=1))
    with pytest.raises(UserError, match="no maps"):
        model.classify(images)


def test_an_encoder_beside_others_makes_the_score_conditional_on_the_code():
    encoder = partial(Encoder, code_size=2, num_filters=2)
    model = tiny_model(torch.float64, conditioning={"class": LABELS, "encoder": encoder}, **SMALL)
    images, labels = random_images(model, 3), torch.tensor([0, 1, 2])
    assert model.score_name == "bits_given_code"
    batch = {"images": images, "labels": labels, "index": labels}
    assert set(model.condition_in(batch)) == {"labels", "images"}
    with torch.no_grad():
        codes = model.conditioning.by_key["images"].encode(images, 3, 8, 4)
        given = model.log_prob(images, {"labels": labels, "images": codes})
        assert torch.equal(model.log_prob(images, model.condition_in(batch)), given)


def test_what_a_batch_lacks_is_named():
    model = tiny_model(conditioning={"class": LABELS, "spatial": MAPS}, **SMALL)
    with pytest.raises(UserError, match=r"\[class,spatial\] needs maps"):
        model.condition_in({"images": random_images(model, 1), "labels": torch.zeros(1, dtype=torch.int64)})
    assert isinstance(model.conditioning, Several)
