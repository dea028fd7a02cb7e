"""Released models are those that were scored, and the score of a small one comes back."""

import json

import pytest
import torch

import pixelcnn
from bench.ledger import PAGE, RELEASED, SCORE, check, page
from pixelcnn.checkpoint import WEIGHTS
from pixelcnn.released import released
from pixelcnn.weights_hash import weights_hash

RESULTS = {path.parent.name: json.loads(path.read_text()) for path in sorted(RELEASED.glob("*/result.json"))}


@pytest.mark.parametrize("name", RESULTS)
def test_a_model_opens_by_its_name_anywhere(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = pixelcnn.load(name)
    assert weights_hash(model) == RESULTS[name]["weights"]
    assert next(model.parameters()).dtype == torch.float32
    assert (released()[name] / WEIGHTS).stat().st_size < 10e6
    assert weights_hash(pixelcnn.load(f"released/{name}")) == RESULTS[name]["weights"]


def test_what_is_there_goes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    with pytest.raises(pixelcnn.UserError, match=r"^checkpoint=digits lacks"):
        pixelcnn.load("digits")


def test_the_ledger_is_the_page():
    assert page(RESULTS) == PAGE.read_text()


def test_a_score_that_differs_is_a_failure_and_the_right_one_comes_back(capsys):
    result, other = RESULTS["digits"], RESULTS["digits"][SCORE] + 0.002
    assert not check("digits", {**result, SCORE: other}, [])
    told = capsys.readouterr().out.strip()
    assert told == f"FAIL digits: {result[SCORE]:.4f} bits/dim, {other:.4f} in the ledger"


def test_other_weights_are_a_failure():
    assert not check("digits", {**RESULTS["digits"], "weights": "0"}, [])
