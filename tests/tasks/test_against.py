"""Two evaluations of the same images are compared image by image."""

import csv
import json
import shutil

import numpy as np
import pytest

from tests.tasks.conftest import TINY


@pytest.fixture(scope="module")
def evaluations(trained, arrays, call, tmp_path_factory):
    """Directories of evaluations of two models."""
    root = tmp_path_factory.mktemp("evaluations")
    call(*arrays, *TINY, "trainer.max_steps=1", "seed=1", f"hydra.run.dir={root}/short")
    call("task=evaluate", f"checkpoint={root}/short", f"hydra.run.dir={root}/first")
    call("task=evaluate", f"checkpoint={trained}", f"task.against={root}/first", f"hydra.run.dir={root}/second")
    return root


def scores(directory):
    with (directory / "per_image.csv").open() as file:
        return np.array([float(row["bits_per_dim"]) for row in csv.DictReader(file)])


def test_the_mean_difference_and_its_interval(evaluations, trained, call, capsys, tmp_path):
    difference = scores(evaluations / "second") - scores(evaluations / "first")
    metrics = json.loads((evaluations / "second/metrics.json").read_text())
    expected = difference.mean(), 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    found = [metrics[f"test/bits_per_dim_difference{suffix}"] for suffix in ("", "_ci95")]
    assert found == pytest.approx(expected, rel=1e-12)
    first = json.loads((evaluations / "first/metrics.json").read_text())
    assert found[0] == pytest.approx(metrics["test/bits_per_dim"] - first["test/bits_per_dim"])
    assert "test/bits_per_dim_difference" not in first
    told = f"{found[0]:+.4f} ± {found[1]:.4f} bits/dim against "
    assert told in (evaluations / "second/report.html").read_text()
    file = evaluations / "first/per_image.csv"
    call("task=evaluate", f"checkpoint={trained}", f"task.against={file}", f"hydra.run.dir={tmp_path}")
    assert f"Difference {told}{file}, paired by image" in capsys.readouterr().out
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics


def test_against_itself_there_is_none(evaluations, trained, call, tmp_path):
    call("task=evaluate", f"checkpoint={trained}", f"task.against={evaluations}/second", f"hydra.run.dir={tmp_path}")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert [metrics[f"test/bits_per_dim_difference{suffix}"] for suffix in ("", "_ci95")] == [0, 0]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda lines: None, "has no per_image.csv"),
        (
            lambda lines: [line.replace("bits_per_dim", "bits_given_code") for line in lines],
            "index, label and bits_per_dim",
        ),
        (lambda lines: [*lines[:-1], "10"], "index, label and bits_per_dim"),
        (lambda lines: lines[:-1], "10 instead of 11"),
        (lambda lines: [lines[0], "0,7,1,1,1,1", *lines[2:]], "images, 11 "),
    ],
    ids=["nothing", "another score", "cut short", "fewer images", "another label"],
)
def test_what_is_not_an_evaluation_of_these_images_is_refused(evaluations, trained, call, tmp_path, change, told):
    other = tmp_path / "other"
    shutil.copytree(evaluations / "first", other)
    lines = change((other / "per_image.csv").read_text().splitlines())
    (other / "per_image.csv").unlink()
    if lines is not None:
        (other / "per_image.csv").write_text("\n".join(lines))
    with pytest.raises(SystemExit) as exit_:
        call("task=evaluate", f"checkpoint={trained}", f"task.against={other}", f"hydra.run.dir={tmp_path}/run")
    assert exit_.value.code.startswith(f"task.against={other} ") and told in exit_.value.code
