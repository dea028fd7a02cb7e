"""Checkpoints whose archive is whole and whose content is not: what `load` says of them."""

import copy
from collections import OrderedDict

import pytest
import torch
import yaml

from pixelcnn.checkpoint import CONFIG, PREFIX, entry, export, load, read
from pixelcnn.errors import UserError
from pixelcnn.untrusted import DEPTH, ENTRIES
from tests.conftest import tiny_model


def without(*path):
    def spoil(checkpoint):
        inside = checkpoint
        for key in path[:-1]:
            inside = inside[key]
        del inside[path[-1]]

    return spoil


def with_part(group, **options):
    return lambda checkpoint: checkpoint["pixelcnn"]["description"][group].update(options)


def with_network(**options):
    return lambda checkpoint: checkpoint["pixelcnn"]["description"].update(network=options)


def with_extra(value):
    return lambda checkpoint: checkpoint.update(extra=value)


def nested(depth, innermost=None):
    value = [innermost]
    for _ in range(depth):
        value = [value]
    return value


def cycle():
    value = []
    value.append(value)
    return value


def bomb():
    """As many entries as atoms, most of them the same."""
    value = [0]
    for _ in range(DEPTH - 5):
        value = [value, value, value, value, value]
    return value


class Shadowed:
    """Loaded, an OrderedDict with the attributes that the file gives it, which hide its methods."""

    def __reduce__(self):
        return OrderedDict, (), {"items": None, "keys": None, "values": None}, None, iter([("a", 1)])


def with_weights(change):
    def spoil(checkpoint):
        name, weight = next(iter(checkpoint["state_dict"].items()))
        checkpoint["state_dict"][name] = change(weight)

    return spoil


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (without("pixelcnn"), "was not written by this project"),
        (without("pixelcnn", "config"), "does not describe a model"),
        (lambda checkpoint: checkpoint["pixelcnn"].update(config=3), "does not describe a model"),
        (lambda checkpoint: checkpoint["pixelcnn"].update(format=3), "has format 3, not 1 or 2"),
        (without("pixelcnn", "description", "likelihood"), "does not describe a model of this version"),
        (without("state_dict"), "has no weights"),
        (lambda checkpoint: checkpoint.update(state_dict=[]), "has no weights"),
        (lambda checkpoint: checkpoint["state_dict"].popitem(), "has weights that do not fit the model it describes"),
        (with_weights(lambda weight: 1), "has no weights"),
        (with_weights(lambda weight: weight[:-1]), "has weights that do not fit the model it describes"),
        (with_weights(lambda weight: weight.long()), "has weights that do not fit the model it describes"),
        (with_weights(lambda weight: weight.log()), "contains NaN or inf"),
        (with_weights(lambda weight: weight / 0), "contains NaN or inf"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, spoil, told):
    model = tiny_model()
    weights = {PREFIX + name: value for name, value in model.state_dict().items()}
    right = {"state_dict": weights, "pixelcnn": entry(model, {})}
    torch.save(right, tmp_path / "right.ckpt")
    load(tmp_path / "right.ckpt")
    wrong = copy.deepcopy(right)
    spoil(wrong)
    torch.save(wrong, tmp_path / "wrong.ckpt")
    with pytest.raises(UserError, match=f"^checkpoint={tmp_path / 'wrong.ckpt'} {told}.*[.]$"):
        load(tmp_path / "wrong.ckpt")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (with_extra({1, 2}), "extra is a set"),
        (with_extra(b"bytes"), "extra is a bytes"),
        (with_extra(1j), "extra is a complex"),
        (with_extra(10**30), "extra is 1000"),
        (with_extra({1.5: 0}), "extra has a key of type float"),
        (with_extra({10**30: 0}), "extra has a key of type int"),
        (with_extra([{"a": (torch.float32,)}]), r"extra\[0\].a\[0\] is a dtype"),
        (with_extra(nested(DEPTH)), "is nested more than"),
        (with_extra(cycle()), "is nested more than"),
        (with_extra(bomb()), "has more than"),
        (with_extra([0] * (ENTRIES + 1)), "has more than"),
        (with_extra(torch.eye(2).to_sparse()), "extra is a tensor of torch.float32, torch.sparse_coo"),
        (with_extra(torch.empty(2, device="meta")), "extra is a tensor of .* on meta"),
        (with_extra(torch.ones(2, dtype=torch.complex64)), "extra is a tensor of torch.complex64"),
        (with_extra(torch.ones(1).expand(10**12)), "share memory"),
        (with_extra(torch.ones(9).as_strided((3, 3), (2, 1))), "share memory"),
        (with_extra(torch.nn.Parameter(torch.ones(2))), "extra is a Parameter"),
        (with_part("network", num_filters=torch.tensor(4)), "pixelcnn.description.network.num_filters is a tensor"),
        (with_part("network", num_filters="4"), "model.num_filters=4 is of the wrong type"),
        (with_part("network", num_filters=True), "model.num_filters=true is of the wrong type"),
        (with_part("network", num_filters=4.0), "model.num_filters=4.0 is of the wrong type"),
        (with_part("network", dropout=None), "model.dropout=null is of the wrong type"),
        (with_part("network", num_filter=4), "model.num_filter is not a key of .*did you mean model.num_filters"),
        (with_part("network", _target_=[]), r"network is \[\]"),
        (with_part("network", _target_="\x1b[31mred"), r"network is '\\x1b\[31mred'"),
        (with_network(_target_="torch.nn.Linear", in_features=10**9, out_features=10**9), "larger model than"),
        (without("pixelcnn", "description", "network", "_target_"), "_target_"),
        (with_part("network", **{"\x1b": 1}), r"model\.\\x1b is not a key"),
        (lambda checkpoint: checkpoint["pixelcnn"]["description"].update(network=3), "network=3 is not a dict"),
        (lambda checkpoint: checkpoint["pixelcnn"]["description"]["network"].update({3: 4}), "has the key 3"),
        (with_part("network", num_filters=10**9), "describes a larger model than its weights"),
        (with_part("network", num_filters=2**52), "describes a larger model than its weights"),
        (with_part("network", num_resnet_blocks=10**9), "num_resnet_blocks=1000000000 is out of range"),
        (with_part("network", num_stages=10**15), "num_stages=1000000000000000 is out of range"),
        (with_part("network", num_stages=10), "divisible by 512"),
        (with_part("image", depth=1), "image.depth is not a key"),
        (without("pixelcnn", "description", "image", "width"), "image.width has no value"),
        (with_part("image", levels=1), "image.levels=1 is out of range"),
        (with_part("image", height=None), "image.height=null is of the wrong type"),
        (with_part("likelihood", num_mixtures=10**12), "describes a larger model than its weights"),
        (lambda checkpoint: checkpoint["pixelcnn"].update(format=True), "format=True is of the wrong type"),
        (lambda checkpoint: checkpoint["pixelcnn"].update(format="\x1b]0;title\x07"), r"format=\\x1b\]0;title\\x07"),
        (lambda checkpoint: checkpoint["pixelcnn"].update(description=[]), "pixelcnn.description=a list of 0 is not"),
        (lambda checkpoint: checkpoint["state_dict"].update({7: torch.ones(2)}), "has no weights"),
        (lambda checkpoint: checkpoint["state_dict"].update({PREFIX + "\x1b": torch.ones(2)}), r"\(\\x1b\)"),
    ],
)
def test_the_door_is_shut_to(tmp_path, spoil, told):
    model = tiny_model()
    weights = {PREFIX + name: value for name, value in model.state_dict().items()}
    wrong = {"state_dict": weights, "pixelcnn": entry(model, {})}
    spoil(wrong)
    path = tmp_path / "wrong.ckpt"
    torch.save(wrong, path)
    with pytest.raises(UserError, match=told) as refusal:
        load(path)
    assert str(refusal.value).startswith(f"checkpoint={path} ") and str(refusal.value).isprintable()


def test_what_passes_the_door_is_plain(tmp_path):
    model = tiny_model()
    path = tmp_path / "odd.ckpt"
    weight = torch.ones(2, requires_grad=True)
    weight.isfinite = 5
    weights = OrderedDict({PREFIX + name: value for name, value in model.state_dict().items()})
    torch.save({"state_dict": weights, "pixelcnn": entry(model, {}), "extra": [Shadowed(), weight]}, path)
    checkpoint = read(path)
    shadow, tensor = checkpoint["extra"]
    assert type(checkpoint["state_dict"]) is dict and type(shadow) is dict and list(shadow.items()) == [("a", 1)]
    assert not tensor.requires_grad and bool(tensor.isfinite().all())


@pytest.mark.parametrize(
    "text",
    [
        "[" * 5000 + "]" * 5000,
        "a: &a [0, 0]\n"
        + "".join(
            f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghijklmnop", "bcdefghijklmnopq", strict=True)
        ),
        "a: !!set {1, 2}\n",
        "a: !!int ''\n",
        "a: !!bool maybe\n",
        "a: !!timestamp never\n",
        "a: 2026-11-27\n",
        "a: 2026-13-27\n",
        "a: !!binary AAAA\n",
        f"a: {'9' * 5000}\n",
        "? [a, b]\n: 1\n",
        "a: !!python/object/apply:os.getcwd []\n",
    ],
)
def test_an_exported_configuration_that_is_not_plain_is_refused(tmp_path, text):
    model = tiny_model()
    export(model, {"a": 1}, tmp_path)
    written = (tmp_path / CONFIG).read_text()
    load(tmp_path)
    (tmp_path / CONFIG).write_text(
        written.replace("config:\n  a: 1\n", f"config:\n  {text.replace(chr(10), chr(10) + '  ')}\n")
    )
    assert (tmp_path / CONFIG).read_text() != written
    with pytest.raises(UserError, match=f"^checkpoint={tmp_path} "):
        load(tmp_path)


def test_what_a_configuration_interpolates_stays_as_it_is_written(tmp_path):
    model = tiny_model()
    export(model, {"data": {"root": "${oc.env:HOME}"}}, tmp_path)
    assert read(tmp_path)["pixelcnn"]["config"] == {"data": {"root": "${oc.env:HOME}"}}
    assert yaml.safe_load((tmp_path / CONFIG).read_text())["config"] == {"data": {"root": "${oc.env:HOME}"}}
