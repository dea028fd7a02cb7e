"""Runs side by side: in the order of their scores, with what they cost."""

import re
from pathlib import Path
from typing import Any

import pytest

from pixelcnn.report.comparison import MOST, ComparedRun, comparison_page
from pixelcnn.report.page import write
from pixelcnn.report.training import history_of
from tests.report.run_of import png, training_run

pytestmark = pytest.mark.drawn


def run(number: int, score: float | None, folder: Path, **changes: Any) -> ComparedRun:
    history = history_of(training_run(folder, **changes))
    named = None if score is None else ("best/val/bits_per_dim", score)
    return ComparedRun(str(number), {"optim.lr": number / 1000, "model": f"<{number}>"}, named, history, None, None)


def rows(html: str) -> list[str]:
    """The first cells of the table."""
    return re.findall(r"<tr>\s*<td>(?:<a [^>]*>)?([^<]*)<", html)


def test_the_best_come_first_and_those_without_a_score_last(tmp_path):
    runs = [run(0, 3.5, tmp_path), run(1, None, tmp_path), run(2, float("nan"), tmp_path), run(3, 3.25, tmp_path)]
    unreported = ComparedRun("4", {"optim.lr": 0.1}, ("best/val/bits_per_dim", 3.0), {}, None, None)
    page = comparison_page([*runs, unreported], tmp_path)
    assert page.outcome.headline == "3.0000 bits/dim" and "lr=0.1" in page.outcome.explanation
    assert ("Images seen", "509,440") in page.facts and ("Training FLOP", "6.00e+15") in page.facts
    write(page, tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    assert rows(html)[:3] == ["4", "3", "0"] and set(rows(html)[3:]) == {"1", "2"}
    assert "<1>" not in html and "&lt;1&gt;" in html


def test_scores_of_several_kinds_have_no_best(tmp_path):
    bound = ComparedRun("bound", {}, ("best/val/bits_upper_bound", 2.0), {}, None, None)
    page = comparison_page([run(0, 3.5, tmp_path), bound, run(1, 3.0, tmp_path)], tmp_path)
    assert "bits/dim" not in page.outcome.headline
    write(page, tmp_path / "page.html")
    assert rows((tmp_path / "page.html").read_text()) == ["1", "0", "bound"]


def test_curves_reach_as_far_as_what_the_runs_cost(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        "pixelcnn.report.comparison.curves",
        lambda lines, label, wide=False, against="steps": drawn.setdefault(against, lines),
    )
    curve = {"val/bits_per_dim": [(5.0, 4.0), (10.0, 3.0)]}
    costs = {"points": curve, "step": 10, "seconds": 120.0, "flop": 1e12}
    many = [run(i, 3.0 + i, tmp_path, **costs) for i in range(MOST + 2)]
    page = comparison_page(many, tmp_path)
    assert {against: lines[0].points[-1] for against, lines in drawn.items()} == {
        "steps": (10.0, 3.0),
        "training FLOP": (1e12, 3.0),
        "minutes": (2.0, 3.0),
    }
    assert all(len(lines) == MOST for lines in drawn.values()) and drawn["minutes"][0].points[0] == (1.0, 4.0)
    assert any(f"{MOST} best of {MOST + 2}" in section.note for section in page.sections)


def test_a_browser_sorts_the_table_and_shows_the_samples(look, tmp_path):
    _, grid = png(tmp_path, 5)
    runs = [run(number, score, tmp_path) for number, score in ((10_000, 3.1), (9_000, 3.2), (100_000, 3.0))]
    runs.append(ComparedRun("5", {}, None, {}, "5/report.html", grid))
    write(comparison_page(runs, tmp_path), tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()
    orders = {}
    for clicks in (0, 1, 2):
        click = "document.querySelectorAll('.sortable th')[1].click();" * clicks
        (tmp_path / "clicked.html").write_text(html.replace("</body>", f"<script>{click}</script></body>"))
        seen = look(tmp_path / "clicked.html")
        table = seen["text"].partition("state")[2]
        orders[clicks] = re.findall(r"^(\d+)\t", table, re.M)
    # By score, then by lr as numbers, both ways; what has none stays last.
    assert orders == {
        0: ["100000", "10000", "9000", "5"],
        1: ["9000", "10000", "100000", "5"],
        2: ["100000", "10000", "9000", "5"],
    }
    assert [picture["alt"] for picture in seen["pictures"]].count("Samples of 5") == 1
