"""The page in a real browser: draw, complete, see where the bits go; and nothing leaves the machine."""

import base64
import io
import socket
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from pixelcnn import load
from pixelcnn.configuration.groups import instantiated
from pixelcnn.errors import UserError
from pixelcnn.explore.explorer import Explorer
from tests.browser import FLAGS
from tests.conftest import tiny_model
from tests.tasks.composing import ready

pytest.importorskip("gradio", reason="an optional extra: requirements-explore.txt")
sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")

from pixelcnn.explore.page import page_of, serve  # noqa: E402

pytestmark = pytest.mark.slow
WEBGL = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader")  # the editor paints by it, without a GPU
WAIT = 120_000  # ms
LOCAL = "127.0.0.1"


@pytest.fixture(scope="module")
def data(arrays):
    data = instantiated(ready([*arrays, "task=train", "logger=none"]), "data")
    data.setup("test")
    return data


@pytest.fixture
def opened(request, browser, data, classes):
    """A page in a browser tab, and all addresses that the tab has asked for.

    It is of two models of classes, or for a parameter "plain" of one without classes.
    """
    if getattr(request, "param", None) == "plain":
        explorers = [Explorer("plain", tiny_model(), data)]
    else:
        model = load(classes)
        explorers = [Explorer("left", model, data), Explorer("right", model, data)]
    blocks = page_of(explorers, data)
    url = serve(blocks, LOCAL, None)
    asked: list[str] = []
    with sync_api.sync_playwright() as playwright:
        flags = [flag for flag in (*FLAGS, *WEBGL) if flag not in ("--headless", "--disable-gpu")]
        program = playwright.chromium.launch(executable_path=browser, headless=True, args=flags)
        tab = program.new_page(viewport={"width": 1300, "height": 1300})
        tab.set_default_timeout(WAIT)
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(url)
        yield tab, asked
        program.close()
    blocks.close(verbose=False)


def pixels(tab, name: str) -> np.ndarray:
    """What the picture ``name`` shows, uint8 (height, width, 3)."""
    source = tab.locator(f"#{name} img").get_attribute("src")
    content = (
        base64.b64decode(source.partition(",")[2]) if source.startswith("data:") else tab.request.get(source).body()
    )
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def fill(tab, name: str, value: object) -> None:
    tab.locator(f"#{name} input[type=number]").fill(str(value))
    tab.locator(f"#{name} input[type=number]").press("Enter")


def test_images_are_drawn_completed_and_mapped(opened, classes):
    tab, asked = opened
    # Both models are one: they draw the same, row after row.
    tab.evaluate(
        """() => { window.seen = new Set(); setInterval(() => {
        const image = document.querySelector("#drawn-0 img"); if (image) window.seen.add(image.src); }, 5) }"""
    )
    fill(tab, "seed", 5)
    fill(tab, "n", 1)
    tab.click("#draw")
    expected = load(classes).sample(1, load(classes).conditioning.examples(1), seed=5)[0].permute(1, 2, 0).numpy()
    tab.wait_for_function("window.seen.size > 3")
    wait_for(tab, "drawn-1", lambda shown: np.array_equal(inside(shown), expected))
    wait_for(tab, "drawn-0", lambda shown: np.array_equal(inside(shown), expected))

    tab.get_by_role("tab", name="Complete").click()
    tab.click("#take")
    canvas = tab.locator("#editor canvas").first
    tab.wait_for_timeout(3000)  # the editor says nowhere that its picture is there
    box = canvas.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(x - 60, y)
    tab.mouse.down()
    for step in range(8):
        tab.mouse.move(x - 60 + 15 * step, y + 20 * (step % 2), steps=4)
    tab.mouse.up()
    fill(tab, "n", 2)
    tab.click("#complete")
    tab.wait_for_selector("#completed-1 img")

    tab.get_by_role("tab", name="Where the bits go").click()
    tab.click("#take-to-map")
    tab.wait_for_selector("#image img")
    tab.click("#map")
    tab.wait_for_selector("#mapped img")
    assert len(np.unique(pixels(tab, "mapped").reshape(-1, 3), axis=0)) > 50

    assert asked and {
        urlsplit(address).hostname for address in asked if not address.startswith(("data:", "blob:"))
    } == {LOCAL}


def inside(shown: np.ndarray) -> np.ndarray:
    """The 8x8 image that is shown enlarged."""
    places = (2 * np.arange(8) + 1) * len(shown) // 16
    return shown[places][:, places]


def wait_for(tab, name: str, there) -> None:
    tab.wait_for_selector(f"#{name} img")
    for _ in range(WAIT // 200):
        if there(pixels(tab, name)):
            return
        tab.wait_for_timeout(200)
    raise AssertionError(name)


@pytest.mark.parametrize("opened", ["plain"], indirect=True)
def test_a_model_without_classes_takes_an_image_that_has_one(opened):
    tab, _ = opened
    tab.get_by_role("tab", name="Complete").click()
    tab.locator("#mask input, #mask textarea").fill("/etc/passwd")
    fill(tab, "place", 3)
    tab.click("#take")
    tab.wait_for_timeout(3000)
    tab.click("#complete")
    tab.get_by_text("/etc/passwd does not say what is known").first.wait_for()
    tab.locator("#mask input, #mask textarea").fill("top:0.5")
    tab.click("#complete")
    tab.wait_for_selector("#completed-0 img")
    tab.get_by_role("tab", name="Where the bits go").click()
    tab.click("#take-to-map")
    tab.wait_for_selector("#image img")
    tab.click("#map")
    tab.wait_for_selector("#mapped img")
    tab.get_by_role("tab", name="Draw").click()
    tab.click("#draw")
    tab.wait_for_selector("#drawn-0 img")


def test_a_mistake_is_told_in_a_sentence(opened):
    tab, _ = opened
    tab.get_by_role("tab", name="Complete").click()
    tab.click("#complete")
    tab.get_by_text("There is no image yet").wait_for()


def test_a_port_that_is_taken_is_refused(data, classes):
    with socket.socket() as taken:
        taken.bind((LOCAL, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"^task.port={port} cannot be served"):
            serve(page_of([Explorer("a", load(classes), data)], data), LOCAL, port)
