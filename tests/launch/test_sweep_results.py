"""The table and the picture of a sweep, read off the directories that its jobs left."""

import csv
import json

import pytest
from matplotlib.figure import Figure
from omegaconf import OmegaConf

from pixelcnn.launch.sweep_results import _apart, _on_an_axis_of_names, _values, swept_keys, write_results

SCORE = {"val/bits_per_dim": 3.0}


@pytest.fixture
def leave(tmp_path):
    """Leaves what a job does."""

    def leave(name, overrides, config, metrics=None):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        OmegaConf.save(OmegaConf.create(overrides), tmp_path / name / ".hydra/overrides.yaml")
        OmegaConf.save(OmegaConf.create(config), tmp_path / name / ".hydra/config.yaml")
        if metrics is not None:
            (tmp_path / name / "metrics.json").write_text(json.dumps(metrics))

    return leave


def table(directory):
    with (directory / "sweep.csv").open() as file:
        return list(csv.reader(file))


def test_a_line_for_each_job_in_order(tmp_path, leave):
    for i in (10, 2):
        model = {"name": f"net{i}", "dropout": i / 100}
        leave(
            str(i), [f"model=net{i}", "seed=1"], {"model": model, "seed": 1}, {"val/bits_per_dim": 3.0 + i, "step": 5}
        )
    leave("11", ["model=net"], {"model": {"dropout": 0.5}})  # has failed, or runs yet
    write_results(tmp_path, ["model", "model.dropout"])
    assert table(tmp_path) == [
        ["job", "model", "model.dropout", "val/bits_per_dim"],
        ["2", "net2", "0.02", "5.0"],
        ["10", "net10", "0.1", "13.0"],
        ["11", "net", "0.5", ""],
    ]
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {"2", "10", "11", "sweep.csv", "sweep.png", "sweep.html"}


def test_mean_and_deviation_over_seeds(tmp_path, leave):
    betas = [[0.9, 0.99], [0.8, 0.9]]
    for i, score in enumerate([1.0, 2.0, 4.0, 5.5, 7.0, float("nan")]):
        overrides = [f"optim.betas={betas[i // 3]}", f"seed={i % 3}"]
        leave(str(i), overrides, {"seed": i % 3, "optim": {"betas": betas[i // 3]}}, {"val/bits_per_dim": score})
    write_results(tmp_path, ["optim.betas", "seed"])
    with (tmp_path / "seeds.csv").open() as file:
        header, first, second = csv.reader(file)
    assert header == ["optim.betas", "seeds", "val/bits_per_dim", "standard deviation"]
    assert first[:2] == ["[0.9, 0.99]", "3"] and second[:2] == ["[0.8, 0.9]", "2"]
    assert [float(cell) for cell in first[2:]] == pytest.approx([7 / 3, (7 / 3) ** 0.5])
    assert [float(cell) for cell in second[2:]] == pytest.approx([6.25, 1.125**0.5])


def test_no_picture_of_nothing(tmp_path, leave):
    leave("0", ["seed=1"], {"seed": 1}, {"val/bits_per_dim": float("nan")})
    write_results(tmp_path, ["seed"])
    assert table(tmp_path)[1] == ["0", "1", "nan"] and not (tmp_path / "sweep.png").exists()


def test_what_is_swept():
    task = ["experiment=digits", "optim.lr=0.1,0.2", "model=a,b", "seed=range(3)", "optim.betas=[0.9,0.99]"]
    hydra = {"overrides": {"task": task}, "sweeper": {"params": {"model.dropout": "interval(0,1)", "model": "c,d"}}}
    config = OmegaConf.create({"hydra": hydra})
    assert swept_keys(config) == ["model.dropout", "model", "optim.lr", "seed"]
    config.hydra.sweeper.params = None
    assert swept_keys(config) == ["optim.lr", "model", "seed"]


def test_names_of_recipes(tmp_path, leave):
    """Which the composed configuration does not have."""
    for i, name in enumerate(("digits", "[a,b]", "=1+1")):
        leave(str(i), [f"experiment={name!r}" if "=" in name else f"experiment={name}"], {"seed": 0}, SCORE)
    write_results(tmp_path, ["experiment", "seed"])
    assert table(tmp_path)[1:] == [
        ["0", "digits", "0", "3.0"], ["1", "['a', 'b']", "0", "3.0"], ["2", "'=1+1", "0", "3.0"],
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["=1+1", "@SUM(A1)", "+1", "-x", " =1", "\t=1"])
@pytest.mark.filterwarnings("error", "ignore::pytest.PytestUnraisableExceptionWarning")  # of other tests
def test_no_text_is_a_formula(tmp_path, leave, text):
    leave(text, [f'logger.group="{text}"', "seed=-1", "optim.lr=-0.5"], {}, {"val/bits_per_dim": -2.0})
    write_results(tmp_path, ["logger.group", "seed", "optim.lr"])
    assert table(tmp_path)[1] == [f"'{text}", f"'{text}", "-1", "-0.5", "-2.0"]


@pytest.mark.parametrize("text", ["$a^{$", "$\\frac$", "\\alpha_{", "a" * 300, "Größe"])
def test_any_text_can_be_drawn(tmp_path, leave, text):
    for i, value in enumerate((text, "other")):
        leave(str(i), [f"logger.group='{value}'"], {}, SCORE)
    write_results(tmp_path, ["logger.group"])
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("n", [1, 3, 50])
def test_labels_tell_paths_apart_and_fit(n):
    values = [f"/runs/of/{i:02d}/checkpoints/best.ckpt" for i in range(n)]
    axes = Figure().add_subplot()
    assert _on_an_axis_of_names(axes, [*values, values[0]]) == [*range(n), 0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == (["best.ckpt"] if n == 1 else [f"{i:02d}" for i in axes.get_xticks()])
    assert len(labels) <= 20


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["a/x", "a/y"], ["x", "y"]),
        (["a/x/l", "b/x/l"], ["a", "b"]),
        (["a/x/l", "b/y/l"], ["a/x", "b/y"]),
        (["a/l", "a/b/l"], ["l", "b/l"]),
        (["adam", "lion"], ["adam", "lion"]),
        (["/a", "a"], ["/a", "a"]),
    ],
)
def test_what_tells_paths_apart(paths, labels):
    assert _apart(paths) == labels


def test_a_job_is_read_once(tmp_path, leave):
    before = _values.cache_info().misses
    for i in range(5):
        leave(str(i), [f"seed={i}"], {"seed": i}, SCORE)
        write_results(tmp_path, ["seed"])
    assert _values.cache_info().misses - before == 5
    assert [row[1] for row in table(tmp_path)[1:]] == ["0", "1", "2", "3", "4"]


def test_a_job_that_is_given_all_that_is_swept_needs_no_more(tmp_path, leave):
    leave("0", ["seed=1", "+x.y=2"], {}, SCORE)
    (tmp_path / "0/.hydra/config.yaml").unlink()
    write_results(tmp_path, ["seed", "x.y"])
    assert table(tmp_path)[1] == ["0", "1", "2", "3.0"]
