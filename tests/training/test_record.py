import json
import math
import os
import platform
import subprocess
import sys

import numpy as np
import torch
from torch import nn

from pixelcnn.training.record import git_revision, run_record, write_record


def test_record_of_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "data.root=my images"])
    record = run_record(nn.Linear(3, 2), torch.device("cpu"))
    write_record(tmp_path / "run.json", record)
    assert json.loads((tmp_path / "run.json").read_text()) == record
    assert record["command"] == f"{sys.executable} run.py 'data.root=my images'"
    assert record["directory"] == os.getcwd() and record["host"] == platform.node()
    assert record["num_parameters"] == 8
    assert torch.__version__.startswith(record["versions"]["torch"])
    assert record["device"].startswith("cpu")


def test_a_record_is_json_whatever_its_numbers(tmp_path):
    record = {"a": math.inf, "b": [1.5, -math.inf, {"c": math.nan}], "d": (np.float64("nan"), 1, None, True, "x")}
    write_record(tmp_path / "metrics.json", record)

    def refused(name):
        raise AssertionError(name)

    found = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=refused)
    assert found == {"a": None, "b": [1.5, None, {"c": None}], "d": [None, 1, None, True, "x"]}


def test_git_revision(tmp_path):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        return subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)

    assert git_revision(tmp_path) is None
    git("init")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "one")
    git("tag", "v1")
    revision = git("rev-parse", "HEAD").stdout.strip()
    assert git_revision(tmp_path) == revision
    (tmp_path / "file").write_text("two")
    assert git_revision(tmp_path) == f"{revision}-dirty"
