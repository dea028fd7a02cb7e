"""The notebooks in docs/notebooks run, and what their text says about their numbers holds."""

from pathlib import Path

import matplotlib
import pytest
import torch

FOLDER = Path(__file__).parents[1] / "docs" / "notebooks"


@pytest.fixture(autouse=True)
def without_windows(monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "backend", "agg")


def names_of(notebook: str, smaller: dict[str, str]) -> dict:
    """What ``notebook`` has defined once it has run, with some of its lines exchanged for ``smaller`` ones."""
    path = FOLDER / notebook
    source = path.read_text()
    for line, instead in smaller.items():
        assert source.count(line) == 1, line
        source = source.replace(line, instead)
    names: dict = {"__name__": "__main__"}
    exec(compile(source, path, "exec"), names)
    return names


def test_the_tour_runs():
    names = names_of("tour.py", {"model.sample(16, seed=0)": "model.sample(6, seed=0)"})
    with torch.no_grad():
        samples, noise, grey = (names["model"].bits_per_dim(names[each]) for each in ("samples", "noise", "grey"))
    assert grey.max() < samples.min() and samples.max() < 8 < noise.min()
    torch.testing.assert_close(names["bits"].mean((1, 2, 3)), samples)
    assert names["red"] > max(names["green"], names["blue"])
    assert torch.equal(names["completed"][:6, :, :4], names["test"][:, :, :4])
    assert names["upright"] < names["upside_down"]


def test_the_recipe_runs():
    names = names_of("recipe.py", {"STEPS = 300": "STEPS = 12"})
    assert all(scores[-1] < scores[0] for scores in names["curves"].values())
    sizes = [sum(weights.numel() for weights in model.parameters()) for model in names["models"].values()]
    assert max(sizes) < 1.2 * min(sizes)  # about the same size
    assert all(len(scores) == len(names["test"]) for scores in names["scores"].values())
