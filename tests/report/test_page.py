"""Reports are read by a browser, and by a parser of HTML where that is enough."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from pixelcnn.report import page
from pixelcnn.report.images import BYTES_OF_GRIDS, MOST_GRIDS
from pixelcnn.report.training import Ending, Start, training_page
from tests.report.run_of import png, scored_images, training_run

pytestmark = pytest.mark.drawn


class Elements(HTMLParser):
    """Tags with their attributes, and the text between."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


@pytest.fixture
def written(tmp_path):
    """The HTML of a made-up run's report."""

    def written(**changes) -> str:
        page.write(training_page(training_run(tmp_path, **changes)), tmp_path / "report.html")
        return (tmp_path / "report.html").read_text()

    return written


def test_a_browser_shows_all_pictures(written, look, tmp_path):
    samples = [png(tmp_path, step) for step in range(0, 2000, 100)]
    html = written(samples=samples, overrides=["data=digits", "model.name=<i>"])
    seen = look(tmp_path / "report.html")
    pictures = seen["pictures"]
    alts = [picture["alt"] for picture in pictures]
    # score, throughput, learning rate; histogram; best and worst
    assert len(pictures) == html.count("<img ") == 3 + MOST_GRIDS + 1 + 2 * 3
    assert "bits/dim against steps" in alts and alts.count("Image 0") == 2
    assert "Samples after 0 steps" in alts and "Samples after 1900 steps" in alts
    for picture in pictures:
        assert min(picture["natural"]) >= 8 and min(picture["shown"]) >= 20 and picture["colours"] > 2, picture
    assert seen["width"] <= 1100
    for text in (
        "3.0001 bits/dim",
        "Finished",
        "1 h 44 min",
        "1,234,567",
        "step 1,900",
        "model.name=<i>",
        "'data.root=<b>&",
    ):
        assert text in seen["text"], text


def test_all_pictures_are_there(written, tmp_path):
    elements = Elements(written(samples=[png(tmp_path, 5)]))
    alts = [has["alt"] for tag, has in elements.tags if tag == "img"]
    # score, throughput, learning rate; samples; histogram; best and worst
    assert len(alts) == 3 + 1 + 1 + 2 * 3 and sum(alt.startswith("Image ") for alt in alts) == 2 * 3


def test_it_refers_to_nothing_outside(written, tmp_path):
    html = written(samples=[png(tmp_path, 5)])
    elements = Elements(html)
    links = [value for _, has in elements.tags for key, value in has.items() if key in ("src", "srcset", "href")]
    assert links and all(link.startswith("data:image/") for link in links)
    assert not re.search(r"https?://|@import|url\(", html)
    assert not {tag for tag, _ in elements.tags} & {"script", "link", "iframe", "object", "embed"}


def test_what_is_told_is_text(written):
    """Markup in paths and values is shown, not obeyed."""
    elements = Elements(written())
    assert "</pre><script>alert(1)</script>" in elements.text and "'data.root=<b>&\"x\"'" in elements.text
    assert not {tag for tag, _ in elements.tags} & {"script", "b", "i"}


def test_it_stays_small(written, tmp_path):
    samples = [png(tmp_path, step, side=300) for step in range(40)]  # noise, which no PNG makes smaller
    long = [(float(step), np.sin(step) + 3) for step in range(1000)]
    points = {name: long for name in ("train/bits_per_dim", "val/bits_per_dim", "lr", "train/images_per_second")}
    html = written(samples=samples, points=points, validation=scored_images(50_000))
    assert len(html) < 2_000_000 and html.count("Samples after") <= BYTES_OF_GRIDS / samples[0][1].stat().st_size
    assert "Samples after 0 steps" in html and "Samples after 39 steps" in html


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        ({"best": None, "last": None, "points": {}, "validation": None, "starts": []}, ["No validation yet"]),
        ({"ending": Ending("Failed", "bad", "RuntimeError: <oh>")}, ["Failed", "RuntimeError: <oh>"]),
        ({"last": (1900, 3.5)}, ["At the last validation, step 1,900: 3.5000."]),
        ({"skipped_steps": 2}, ["2 steps skipped"]),
        ({"step": 0, "images": 0, "seconds": 0.0, "points": {"val/bits_per_dim": [(0.0, 8.0)]}}, ["0.0 s"]),
        ({"score_name": "bits_upper_bound", "points": {}}, ["at most 3.0001 bits/dim"]),
        (
            {"starts": [Start(0, "then", "/a"), Start(500, "later", "/b")]},
            ["started", "resumed at step 500", "later, from /a"],
        ),
    ],
)
def test_what_happened_is_told(written, changes, texts):
    text = Elements(written(**changes)).text
    for each in texts:
        assert each in text


def test_scores_that_are_not_finite_are_counted(written):
    images = scored_images()
    scores = images.scores.copy()
    scores[:3] = np.nan, np.inf, -np.inf
    assert "3 of 50 scores are not finite" in written(validation=replace(images, scores=scores))
    assert "Scores of" not in written(validation=replace(images, scores=scores[:3]))


def test_a_report_is_replaced_in_one_go(written, tmp_path):
    before = written()
    with (tmp_path / "report.html").open() as earlier:
        assert written(best=(100, 2.5)) != before
        assert earlier.read() == before  # it was not written over
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_names_that_are_no_text_are_shown(written):
    assert "data.root=\\udcff" in Elements(written(overrides=["data.root=\udcff"])).text
