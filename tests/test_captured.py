"""What the benchmarks do on a GPU only, with a recording in place of its graphs and a warning in place of its waits."""

import copy
import warnings
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

from bench.captured import captured_gradient, gradient_of
from bench.gpu.recording import Recording
from bench.gpu.waits import WaitsOfSteps
from bench.training import our_step
from tests.conftest import random_images, tiny_model


class Graph:
    """Of the operations that were done within `captured`."""

    def replay(self):
        with torch.no_grad():
            self.recording.replay()


@contextmanager
def captured(graph):
    with Recording() as graph.recording:
        yield


@pytest.fixture
def graphs(monkeypatch):
    for name, stub in {
        "Stream": MagicMock(),
        "current_stream": MagicMock(),
        "stream": lambda stream: nullcontext(),
        "CUDAGraph": Graph,
        "graph": captured,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stub)


def test_replayed_steps_are_steps(graphs):
    model = tiny_model(height=8, width=4, num_stages=2)
    other = copy.deepcopy(model)
    batches = [random_images(model, 2, seed) for seed in range(3)]
    images, others = batches[0].clone(), batches[0].clone()
    replayed = our_step(model, images, torch.float32, captured_gradient(model, images, torch.float32))
    launched = our_step(other, others, torch.float32, gradient_of(other, others, torch.float32))
    before = copy.deepcopy(other.state_dict())
    for batch in batches:
        images.copy_(batch)
        others.copy_(batch)
        replayed()
        launched()
    for (name, value), expected in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(value, expected, rtol=1e-4, atol=1e-5)
        assert not torch.equal(value, before[name])


def test_waits_are_named_by_file_and_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda mode: None)
    monkeypatch.setattr(warnings, "showwarning", None)
    waits, trainer = WaitsOfSteps(), SimpleNamespace(global_step=1)
    with warnings.catch_warnings():
        waits.on_train_start()
        waits.on_train_batch_start(trainer)
        for _ in range(2):
            warnings.warn("called a synchronizing CUDA operation", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
        waits.stop(trainer)
    waits.on_train_end()
    assert len(waits.places_of_step[1]) == 2
    assert all(place.startswith(Path(__file__).name) for place in waits.places_of_step[1])
