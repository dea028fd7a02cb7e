"""``task=compare`` finds runs, says how they differ and links to their reports."""

import json

import pytest

from tests.tasks.conftest import TINY

SHORT = (*TINY, "trainer.max_steps=1", "callbacks.samples=null")


@pytest.fixture(scope="module")
def runs(arrays, call, tmp_path_factory):
    """A folder with a sweep of two runs, and one beside them."""
    folder = tmp_path_factory.mktemp("runs")
    call("-m", *arrays, *SHORT, "optim.lr=0.003,0.001", f"hydra.sweep.dir={folder}/sweep")
    call(*arrays, *SHORT, "seed=3", f"hydra.run.dir={folder}/alone")
    return folder


def test_a_sweep_ends_with_its_best_job_and_its_page(arrays, call, tmp_path, capsys):
    call("-m", *arrays, *SHORT, "optim.lr=0.003,1e-8", f"hydra.sweep.dir={tmp_path}")
    said = capsys.readouterr().out
    scores = [json.loads((tmp_path / job / "metrics.json").read_text())["best/val/bits_per_dim"] for job in ("0", "1")]
    assert f"Best of 2: {min(scores):.4f} " in said and str(tmp_path / "sweep.html") in said
    assert f"optim.lr={'0.003' if scores[0] < scores[1] else '1e-08'}" in said


def test_any_runs_are_compared(runs, call, tmp_path):
    call("task=compare", f"task.runs=[{runs}/alone,{runs}]", f"hydra.run.dir={tmp_path}")
    html = (tmp_path / "comparison.html").read_text()
    assert "Comparison of 3 runs" in html
    assert "<th>seed</th>" in html and "<th>optim.lr</th>" in html and "<th>data.train</th>" not in html
    assert "sweep/0" in html and "alone" in html and html.count('report.html">') == 3


def test_a_folder_without_runs_is_refused(call, tmp_path):
    with pytest.raises(SystemExit, match=f"^task.runs={tmp_path}/none "):
        call("task=compare", f"task.runs=[{tmp_path}/none]", f"hydra.run.dir={tmp_path}/run")
