"""The table of several runs, from the metrics that they have left."""

from bench.comparison import read_curve, table


def test_differences_are_at_steps_that_both_have():
    curves = {"base": ("", {50: 6.0, 100: 5.0, 200: 4.0}), "other": ("<=", {50: 6.5, 100: 4.9}), "none": ("", {7: 1.0})}
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table(curves).splitlines()]
    assert rows[0] == ["experiment", "7 steps", "50 steps", "100 steps", "200 steps", "difference from base"]
    assert rows[2:] == [
        ["base", "", "6.000", "5.000", "4.000", "+0.000"],
        ["other", "", "<= 6.500", "<= 4.900", "", "-0.100"],
        ["none", "1.000", "", "", "", ""],
    ]


def test_a_resumed_runs_curve_is_whole(tmp_path):
    name = "bits_upper_bound"
    for start, lines in (("version_0", "1,\n1,5.0\n"), ("version_10", "9,3.0\n"), ("version_2", "3,4.0\n")):
        (tmp_path / "csv" / start).mkdir(parents=True)
        (tmp_path / "csv" / start / "metrics.csv").write_text(f"step,val/{name}\n{lines}")
    (tmp_path / "csv" / "version_11").mkdir()
    assert read_curve(tmp_path) == ("<=", {2: 5.0, 4: 4.0, 10: 3.0})


def test_a_run_without_a_validation_has_no_curve(tmp_path):
    assert read_curve(tmp_path) is None
    (tmp_path / "csv/version_0").mkdir(parents=True)
    (tmp_path / "csv/version_0/metrics.csv").write_text("step,train/bits_per_dim\n9,7.0\n")
    assert read_curve(tmp_path) is None
