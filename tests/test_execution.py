"""Ways to compute a network change its numbers by no more than stated here, and nothing that is stored."""

import copy
import gc

import pytest
import torch
from torch._dynamo.utils import counters
from torch._subclasses import FakeTensor

from pixelcnn import execution
from pixelcnn.errors import UserError
from pixelcnn.execution import Execution, execute
from pixelcnn.network.topology import GatedBlock
from pixelcnn.orders import ORDERS
from pixelcnn.training.samples import SampleGrid
from tests.conftest import random_images, tiny_model
from tests.training.tiny import BATCHES_PER_EPOCH, fit, tiny_module

PLAIN = Execution(compile=False, channels_last=False, activation_checkpointing=False)
# Of the loss and of the gradient's norm, relative.
MOVES = {
    "channels_last": 1e-5,
    "activation_checkpointing": 0.0,  # dropout included
    "compile": 1e-5,
}


def loss_and_gradients(model, images):
    torch.manual_seed(3)
    loss = -model(images).sum()
    loss.backward()
    return loss.detach(), {name: p.grad for name, p in model.named_parameters()}


def distance(a, b):
    """Between two sets of gradients, relative to the first."""
    square = sum((a[name] - b[name]).square().sum() for name in a)
    return (square / sum(value.square().sum() for value in a.values())).sqrt().item()


@pytest.mark.parametrize(
    ("way", "precision"),
    [
        ("channels_last", torch.float32),
        ("channels_last", torch.bfloat16),
        ("activation_checkpointing", torch.float32),
        ("activation_checkpointing", torch.bfloat16),
        pytest.param("compile", torch.float32, marks=pytest.mark.slow),
    ],
)
def test_how_far_a_way_moves_loss_and_gradient(way, precision):
    # Dropout masks are drawn in the order of memory, and by a compiler in its own way.
    dropout = 0.5 if way == "activation_checkpointing" else 0.0
    # Compiling takes seconds a layer.
    stages = 1 if way == "compile" else 3
    model = tiny_model(num_filters=8, num_stages=stages, dropout=dropout).train()
    other = copy.deepcopy(model)
    execute(other, Execution(**{**vars(PLAIN), way: True}))
    images = random_images(model, 4)
    with torch.autocast("cpu", dtype=precision, enabled=precision != torch.float32):
        (loss, gradients), (moved, other_gradients) = (loss_and_gradients(m, images) for m in (model, other))
    bound = MOVES[way] if precision == torch.float32 or MOVES[way] == 0 else 0.02
    assert abs(moved / loss - 1) <= bound
    assert distance(gradients, other_gradients) <= 10 * bound
    assert model.state_dict().keys() == other.state_dict().keys() and model.description == other.description


def test_bfloat16_moves_the_loss_by_less_than_a_hundredth():
    model = tiny_model(num_filters=16, dropout=0.0).train()
    images = random_images(model, 8)
    loss, gradients = loss_and_gradients(model, images)
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        moved, other_gradients = loss_and_gradients(model, images)
    assert moved.dtype == torch.float32
    assert 0 < abs(moved / loss - 1) < 0.01
    assert distance(gradients, other_gradients) < 0.1


def test_channels_last_reaches_every_activation():
    model = tiny_model(num_filters=8)
    execute(model, Execution(**{**vars(PLAIN), "channels_last": True}))
    values = model.network.values(torch.randn(2, 3, 8, 8), keep=True)
    for node in model.network.topology.nodes:
        assert values[node.name].stride(1) == 1, node.name


def test_checkpointing_keeps_a_fraction_of_the_activations():
    kept = []
    for checkpointing in (False, True):
        model = tiny_model(num_filters=16, height=16, width=16).train()
        execute(model, Execution(**{**vars(PLAIN), "activation_checkpointing": checkpointing}))
        images, before = torch.randn(8, 3, 16, 16), bytes_of_tensors()
        # Hooks make Python objects of what the graph keeps, as checkpointing does of its inputs.
        with torch.autograd.graph.saved_tensors_hooks(lambda value: value, lambda value: value):
            loss = model.network(images).sum()
            kept.append(bytes_of_tensors() - before)
            loss.backward()
    blocks = sum(isinstance(node, GatedBlock) for node in model.network.topology.nodes)
    assert kept[1] > blocks * 8 * 16 * 4 * 4 * 4  # the blocks' inputs, of the lowest resolution at least, are counted
    assert kept[1] < kept[0] / 4


def bytes_of_tensors() -> int:
    """Of all tensors that are alive, each storage once; a compiler's tensors have none, and sparse ones several."""
    gc.collect()
    storages = {}
    for value in gc.get_objects():
        kind = type(value)  # to ask some objects for their class is deprecated
        if issubclass(kind, torch.Tensor) and not issubclass(kind, FakeTensor) and value.layout == torch.strided:
            storages[value.untyped_storage().data_ptr()] = value.untyped_storage().nbytes()
    return sum(storages.values())


@pytest.fixture
def traced(monkeypatch):
    """Compiles without a compiler: graphs and their guards are as ever, what runs is what was traced."""
    monkeypatch.setattr(execution, "BACKEND", "eager")
    torch._dynamo.reset()
    counters.clear()
    with torch._dynamo.config.patch(error_on_recompile=True):
        yield
    torch._dynamo.reset()


@pytest.mark.parametrize("activation_checkpointing", [False, True])
def test_the_network_and_the_loss_are_one_graph(traced, activation_checkpointing):
    model = tiny_model(num_stages=1, dropout=0.0).train()
    images = random_images(model, 2)
    loss, gradients = loss_and_gradients(model, images)
    model.zero_grad()
    execute(model, Execution(compile=True, activation_checkpointing=activation_checkpointing))
    compiled, others = loss_and_gradients(model, images)
    torch.testing.assert_close(loss, compiled)
    assert distance(gradients, others) < 1e-5
    assert counters["stats"]["unique_graphs"] == 1 and not counters["graph_break"]


def test_all_orders_are_one_graph(traced):
    model = tiny_model(num_stages=1, dropout=0.0, order="all").train()
    images = random_images(model, 2)
    expected = {round(float(model.log_prob(images, order=order).sum().detach()), 2) for order in ORDERS}
    execute(model, Execution(compile=True))
    torch.manual_seed(3)
    found = {round(-float(model(images).sum().detach()), 2) for _ in range(40)}
    assert found == {-value for value in expected} and len(expected) == len(ORDERS)
    assert counters["stats"]["unique_graphs"] <= 2  # before the order is drawn, and after


def test_a_run_compiles_once(traced, tmp_path):
    # Validation and grids are of the EMA's weights and of batches of other sizes.
    module = tiny_module(dropout=0.5)
    execute(module.model, Execution(compile=True))
    trainer = fit(tmp_path, SampleGrid(tmp_path, every_n_epochs=1, num_samples=3), module=module, max_epochs=2)
    assert trainer.global_step == 2 * BATCHES_PER_EPOCH and counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"] and list((tmp_path / "samples").iterdir())


def test_objectives_that_call_the_network_alone_have_it_compiled(traced):
    model = tiny_model(num_stages=1).train()
    execute(model, Execution(compile=True))
    model.pixel_parameters(random_images(model, 2)).sum().backward()
    assert counters["stats"]["unique_graphs"] == 1
    model.eval().pixel_parameters(random_images(model, 3))  # would be compiled again, and raise
    assert copy.deepcopy(model)._compiled_call_impl is None


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match=r"model.compile=true .*no-such-compiler"):
        execute(tiny_model(), Execution(**{**vars(PLAIN), "compile": True}))
    assert execution.COMPILERS[0] == "g++"
