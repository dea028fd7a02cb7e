"""A real browser, in which reports are looked at."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1100,2000"),
)
# Added to a copy of the page: what the browser has made of each picture, and how many colours it shows.
LOOK = """<script>
addEventListener("load", () => {
  const seen = [...document.images].map(image => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0, image.width, image.height);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    const box = image.getBoundingClientRect();
    return {alt: image.alt, natural: [image.naturalWidth, image.naturalHeight], shown: [box.width, box.height],
            colours: new Set(pixels).size};
  });
  const width = document.documentElement.scrollWidth;
  document.body.innerHTML = "<pre id=seen></pre>";
  document.getElementById("seen").textContent = JSON.stringify({pictures: seen, width: width, text: TEXT});
});
const TEXT = document.body.innerText;
</script>"""


@pytest.fixture(scope="session")
def browser() -> str:
    """The program; where none is installed the test is skipped, or fails if REQUIRE_BROWSER is set, as in CI."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        reason = "no Chromium is installed (apt-get install chromium), which reports are looked at in"
        if os.environ.get("REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture
def look(browser, tmp_path_factory):
    """What the browser makes of a page: its visible ``text``, its ``width`` and its ``pictures``."""

    def look(report: Path) -> dict:
        folder = tmp_path_factory.mktemp("browser")
        page = folder / "page.html"
        page.write_text(report.read_text().replace("</body>", LOOK + "</body>"))
        command = [browser, *FLAGS, f"--user-data-dir={folder}/profile", "--dump-dom", page.as_uri()]
        dom = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout
        found = re.search(r'<pre id="seen">(.*?)</pre>', dom, re.DOTALL)
        assert found is not None, dom[-2000:]
        return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))

    return look
