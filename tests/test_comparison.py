"""The table and the curves of several runs, from the metrics that they have left."""

import sys
from math import isnan

import pytest
from PIL import Image

from bench.comparison import table
from bench.curves import Curve, Point, curve_of, main

COLUMNS = "images,step,train/images_per_second,train/tflops"


def of_scores(mark: str, scores: dict[int, float]) -> Curve:
    return Curve(mark, tuple(Point(step, 0.0, 0.0, 0.0, score) for step, score in scores.items()))


def write(run, score_name, starts):
    for start, lines in starts.items():
        (run / "csv" / start).mkdir(parents=True)
        (run / "csv" / start / "metrics.csv").write_text(f"{COLUMNS},val/{score_name}\n{lines}")


def test_differences_are_at_steps_that_both_have():
    curves = {
        "base": of_scores("", {50: 6.0, 100: 5.0, 200: 4.0}),
        "other": of_scores("<=", {50: 6.5, 100: 4.9}),
        "none": of_scores("", {7: 1.0}),
    }
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(curves).splitlines()]
    assert rows[0] == ["experiment", "7 steps", "50 steps", "100 steps", "200 steps", "difference from base"]
    assert rows[2:] == [
        ["base", "", "6.000", "5.000", "4.000", "+0.000"],
        ["other", "", "<= 6.500", "<= 4.900", "", "-0.100"],
        ["none", "1.000", "", "", "", ""],
    ]


def test_a_resumed_runs_curve_is_whole(tmp_path):
    starts = {"version_0": ",1,,,\n,1,,,5.0\n", "version_10": ",9,,,3.0\n", "version_2": ",3,,,4.0\n"}
    write(tmp_path, "bits_upper_bound", starts)
    (tmp_path / "csv" / "version_11").mkdir()
    curve = curve_of(tmp_path)
    assert curve.mark == "<="
    assert [(point.step, point.score) for point in curve.points] == [(2, 5.0), (4, 4.0), (10, 3.0)]
    assert all(isnan(point.minutes) for point in curve.points)  # without callbacks.throughput


def test_a_score_is_shown_with_what_it_had_cost(tmp_path):
    # 60 images at 1 a second, 60 at 2, then 60 of which the interrupted run had seen half; 1e12 FLOP per image.
    starts = {
        "version_0": "60,5,1,1,\n120,11,2,2,\n120,11,,,4.0\n",
        "version_1": "90,8,2,2,\n150,14,1,1,\n180,17,,,3.5\n",
    }
    write(tmp_path, "bits_per_dim", starts)
    assert curve_of(tmp_path).points == (
        Point(12, 120.0, 120e12, 1.5, 4.0),
        Point(18, 180.0, 180e12, 2.5, 3.5),  # 30 images at 1 a second after the last row about speed
    )


def test_a_run_without_a_validation_has_no_curve(tmp_path):
    assert curve_of(tmp_path) is None
    write(tmp_path, "bits_per_dim", {"version_0": "9,9,,,\n"})
    assert curve_of(tmp_path) is None


def test_curves_are_drawn(tmp_path, monkeypatch):
    for run, score in (("one", 4.0), ("two", 3.0)):
        write(tmp_path / run, "bits_per_dim", {"version_0": f"60,5,1,1,\n60,5,,,{score}\n"})
    command = [__file__, str(tmp_path / "curves.png"), str(tmp_path / "one"), f"slow={tmp_path / 'two'}"]
    monkeypatch.setattr(sys, "argv", command)
    main()
    wide = Image.open(tmp_path / "curves.png").size
    monkeypatch.setattr(sys, "argv", [*command, "--against", "images", "flop"])
    main()
    assert Image.open(tmp_path / "curves.png").width < wide[0]


def test_runs_of_one_name_or_without_a_score_are_refused(tmp_path, monkeypatch, capsys):
    write(tmp_path / "lr=1", "bits_per_dim", {"version_0": "60,5,1,1,\n60,5,,,4.0\n"})
    (tmp_path / "empty").mkdir()
    for runs, told in (
        (["lr=1", "lr=1"], "two runs are called lr=1: write NAME=lr=1."),
        (["slow=empty"], "empty holds no validation that logger=csv wrote."),
        (["missing"], "missing holds no validation"),
    ):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [__file__, "curves.png", *runs])
        with pytest.raises(SystemExit):
            main()
        assert told in capsys.readouterr().err
