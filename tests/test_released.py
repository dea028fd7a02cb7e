"""Released models are those that were scored, and the score of a small one comes back."""

import json
import os
import subprocess
import sys

import pytest
import torch

import pixelcnn
from bench.ledger import PAGE, RELEASED, SCORE, card, check, main, page
from pixelcnn.released import WEIGHTS, push, released
from pixelcnn.weights_hash import weights_hash
from tests.hub import Hub, hub

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


@pytest.mark.parametrize("name", RESULTS)
def test_a_card_tells_what_the_ledger_holds(name):
    told = (RELEASED / name / "README.md").read_text()
    assert card(name, RESULTS[name], (RELEASED / name / WEIGHTS).stat().st_size) == told
    noted = card(name, {**RESULTS[name], "note": "resumed once"}, 1_000_000)
    assert "\n| note | resumed once |\n\n![Samples](samples.png)" in noted


def test_a_score_that_differs_is_a_failure_and_the_right_one_comes_back(capsys):
    result, other = RESULTS["digits"], RESULTS["digits"][SCORE] + 0.002
    assert not check("digits", {**result, SCORE: other}, [])
    told = capsys.readouterr().out.strip()
    assert told == f"FAIL digits: {result[SCORE]:.4f} bits/dim, {other:.4f} in the ledger"


PUSH_AND_LOAD = """
import os, sys
import pixelcnn
from pixelcnn.released import push
from pixelcnn.weights_hash import weights_hash

push(sys.argv[1], "me/digits")
print(weights_hash(pixelcnn.load("hf://me/digits")))
os.environ["HF_TOKEN"] = "hf_other"
for attempt in (lambda: pixelcnn.load("hf://me/nothing"), lambda: push(sys.argv[1], "me/digits")):
    try:
        attempt()
    except pixelcnn.UserError as error:
        print(error)
"""


def test_a_model_goes_to_the_hub_and_comes_back_with_nothing_else_of_the_run(tmp_path):
    pytest.importorskip("huggingface_hub")
    folder = released()["digits"]
    with hub() as address:
        environment = {**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "HF_TOKEN": Hub.token}
        command = [sys.executable, "-c", PUSH_AND_LOAD, str(folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        files = {name: (folder / name).read_bytes() for name in ("model.safetensors", "config.yaml")}
        assert Hub.repositories == {"me/digits": files}
    came_back, unknown, refused = done.stdout.splitlines()
    assert came_back == RESULTS["digits"]["weights"]
    assert unknown.startswith("checkpoint=hf://me/nothing ") and "404" in unknown
    assert refused.startswith("task.push=me/digits ") and "401" in refused and "hf auth login" in refused


def test_a_push_without_a_network_is_refused_and_says_where_the_model_is(tmp_path, monkeypatch):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(huggingface_hub.create_repo.__self__, "endpoint", "http://127.0.0.1:9")  # where nobody listens
    with pytest.raises(pixelcnn.UserError, match=rf"^task\.push=me/digits .*network.* {tmp_path}\.$"):
        push(tmp_path, "me/digits")


def test_other_weights_are_a_failure():
    assert not check("digits", {**RESULTS["digits"], "weights": "0"}, [])


@pytest.mark.parametrize("options", [["--only", "digit"], ["--on", "digit", "data=digits"]])
def test_the_ledger_refuses_a_name_that_is_not_released(options, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ledger", *options])
    before = PAGE.stat().st_mtime_ns
    with pytest.raises(SystemExit, match="2"):
        main()
    assert (
        "digit is not a released model: choose from cifar10_small, cifar10_small_long, digits"
        in capsys.readouterr().err
    )
    assert PAGE.stat().st_mtime_ns == before


def test_a_score_of_other_images_is_not_compared(capsys, monkeypatch):
    monkeypatch.setattr("bench.ledger.evaluated", lambda *_: {SCORE: 9.0, "test/num_images": 300})
    assert check("digits", RESULTS["digits"], [])
    assert capsys.readouterr().out == "not compared: digits: 300 images, 299 in the ledger\n"
