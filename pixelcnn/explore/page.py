"""The page: controls on the left, and tabs for drawing, completing and seeing where the bits go."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any

import numpy as np
from torch import Tensor

from pixelcnn.data.base import ImageDataModule
from pixelcnn.errors import UserError
from pixelcnn.explore.explorer import SIDE, Choice, Explorer, enlarged, fitted, image_at, mapped, picture, unpainted
from pixelcnn.image_shape import ImageShape
from pixelcnn.masks import KINDS, known_pixels
from pixelcnn.pictures import black_to_white

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # gradio reads it when imported, and would otherwise call home

import gradio as gr

MOST = 16  # images at once
FIRST_PORT, PORTS = 7860, 100
BUTTONS: Any = ["download", "fullscreen"]  # without the button that uploads a picture to share it
CACHED = 600  # seconds that gradio keeps the files of its pictures
IN_TURN = -1  # the value of "each in turn" among the classes
CSS = ".pixels img { image-rendering: pixelated; }"
PARTLY = (
    "In every order of this model some known pixels come after drawn ones: drawn pixels ignore the known ones "
    "after them."
)


def page_of(explorers: Sequence[Explorer], data: ImageDataModule | None) -> gr.Blocks:
    """The page of one model, or of two models of the same images side by side. ``data``: the images to choose from."""
    shape = explorers[0].model.image
    with gr.Blocks(title="PixelCNN", analytics_enabled=False, delete_cache=(CACHED, CACHED)) as blocks:
        gr.Markdown(f"## {' and '.join(explorer.name for explorer in explorers)}\n{shape}")
        with gr.Row():
            with gr.Column(scale=1, min_width=260):
                controls = _controls(explorers, data)
                n = gr.Slider(1, MOST, 4, step=1, label="images", elem_id="n")
            with gr.Column(scale=3):
                with gr.Tab("Draw"):
                    start = gr.Button("Draw", variant="primary", elem_id="draw")
                    stop = gr.Button("Stop")
                    drawn = _outputs(explorers, "drawn")
                with gr.Tab("Complete"):
                    editor, mask = _editor(shape.height, shape.width)
                    take = gr.Button("Take the test image", interactive=data is not None, elem_id="take")
                    complete = gr.Button("Complete", variant="primary", elem_id="complete")
                    completed = _outputs(explorers, "completed")
                with gr.Tab("Where the bits go"):
                    image = gr.Image(
                        label="an image",
                        sources=["upload", "clipboard"],
                        format="png",
                        buttons=BUTTONS,
                        elem_id="image",
                    )
                    take_to_map = gr.Button("Take the test image", interactive=data is not None, elem_id="take-to-map")
                    show = gr.Button("Show", variant="primary", elem_id="map")
                    bits = gr.Image(
                        label="the image, and what its pixels cost",
                        interactive=False,
                        buttons=BUTTONS,
                        elem_id="mapped",
                    )

        def draw(n: int, *chosen: Any) -> Iterator[Any]:
            with _told():
                yield from _side_by_side(explorers, [each.drawn(int(n), _choice(*chosen)) for each in explorers])

        def complete_painted(edited: dict[str, Any] | None, mask: str, n: int, *chosen: Any) -> Iterator[Any]:
            with _told():
                if edited is None or edited["background"] is None:
                    raise UserError("There is no image yet: upload one, or take one of the test set.")
                given = fitted(edited["background"], shape)
                known = _described(mask.strip(), shape) if mask.strip() else unpainted(edited["layers"], shape)
                if not all(each.model.orders.with_first(known) for each in explorers):
                    gr.Info(PARTLY)
                rows = [each.completed(given, known, int(n), _choice(*chosen)) for each in explorers]
                yield from _side_by_side(explorers, rows)

        @_told()
        def show_bits(given: np.ndarray | None, *chosen: Any) -> Any:
            if given is None:
                raise UserError("There is no image yet: upload one, or take one of the test set.")
            return mapped(fitted(given, shape), list(explorers), _choice(*chosen))

        @_told()
        def taken(place: int) -> tuple[np.ndarray, Any]:
            batch = image_at(data, int(place))
            label = int(batch["labels"][0]) if "labels" in batch else IN_TURN
            is_choice = label < max(each.model.num_classes or 0 for each in explorers)
            image = black_to_white(batch["images"], shape.levels)[0].expand(3, -1, -1)
            return enlarged(image), gr.update(value=label if is_choice else IN_TURN)

        def taken_to_edit(place: int) -> tuple[Any, Any]:
            pixels, label = taken(place)
            return {"background": pixels, "layers": [], "composite": None}, label

        label, place = controls[3:]
        begun = start.click(draw, [n, *controls], drawn)
        stop.click(None, cancels=[begun])
        complete.click(complete_painted, [editor, mask, n, *controls], completed)
        show.click(show_bits, [image, *controls], bits)
        take.click(taken_to_edit, [place], [editor, label])
        take_to_map.click(taken, [place], [image, label])
    return blocks


def serve(blocks: gr.Blocks, host: str, port: int | None) -> str:
    """Serve the page from threads of this process and return its address. UserError if the port is in use."""
    os.environ["GRADIO_NUM_PORTS"] = str(PORTS)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio's request to itself
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        _, url, _ = blocks.queue().launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            inbrowser=False,
            prevent_thread_lock=True,
            show_error=True,
            footer_links=[],
            enable_monitoring=False,
            ssr_mode=False,
            css=CSS,
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        )
    except OSError as error:
        asked = f"task.port={port}" if port else f"task.host={host}"
        raise UserError(f"{asked} cannot be served ({error}): choose another.") from error
    return url


def _controls(explorers: Sequence[Explorer], data: ImageDataModule | None) -> list[Any]:
    """Seed, temperatures, class and place, in the order of `_choice`."""
    mixture, scale = (any(of) for of in zip(*(each.takes_temperatures for each in explorers), strict=True))
    classes = next((each for each in explorers if each.model.num_classes), None)
    choices = [("each in turn", IN_TURN)]
    if classes is not None:
        names = classes.model.class_names or [str(k) for k in range(classes.model.num_classes or 0)]
        choices += [(name, k) for k, name in enumerate(names)]
    seed = gr.Slider(0, 1000, 0, step=1, label="seed", elem_id="seed")
    told = "1 draws from the model; other values from another distribution"
    of_components = gr.Slider(
        0.05, 2, 1, step=0.05, label="temperature of components", info=told, visible=mixture, elem_id="mixture"
    )
    of_scales = gr.Slider(0.05, 2, 1, step=0.05, label="temperature of scales", visible=scale, elem_id="scale")
    label = gr.Dropdown(choices, value=IN_TURN, label="class", visible=classes is not None, elem_id="label")
    last = 0 if data is None else data.num_images_of("test") - 1
    place = gr.Slider(0, max(last, 1), 0, step=1, label="test image", visible=data is not None, elem_id="place")
    return [seed, of_components, of_scales, label, place]


def _described(mask: str, shape: ImageShape) -> Tensor:
    """The mask, bool (H, W), for the text of the mask field. UserError if the text names a file on this machine."""
    if mask.partition(":")[0] not in KINDS:
        raise UserError(f"{mask} does not say what is known: write {', '.join(KINDS)} and fractions, as in top:0.5.")
    return known_pixels(mask, shape.height, shape.width)


def _choice(seed: int, mixture: float, scale: float, label: int, place: int) -> Choice:
    return Choice(int(seed), mixture, scale, None if label == IN_TURN else label, int(place))


def _outputs(explorers: Sequence[Explorer], name: str) -> list[Any]:
    with gr.Row():
        return [
            gr.Image(
                label=each.name,
                interactive=False,
                format="png",
                buttons=BUTTONS,
                elem_id=f"{name}-{i}",
                elem_classes="pixels",
            )
            for i, each in enumerate(explorers)
        ]


def _editor(height: int, width: int) -> tuple[Any, Any]:
    editor = gr.ImageEditor(
        label="paint over the pixels to draw again",
        buttons=BUTTONS,
        sources=["upload", "clipboard"],
        format="png",
        transforms=[],
        layers=False,
        brush=gr.Brush(default_size=24, colors=["#d1345b"], color_mode="fixed"),
        canvas_size=(SIDE, SIDE),
        height=SIDE + 48,
        elem_id="editor",
    )
    mask = gr.Textbox(
        label="or a mask of the known pixels", placeholder="top:0.5, left:0.5, hole:0.2:0.2:0.8:0.8", elem_id="mask"
    )
    return editor, mask


def _side_by_side(explorers: Sequence[Explorer], rows: Sequence[Iterator[Tensor]]) -> Iterator[Any]:
    """Yield the pictures of all explorers after each row."""
    last: list[Any] = [None] * len(rows)
    for images in zip_longest(*rows):
        last = [
            before if of is None else picture(of, each.model.image.levels)
            for before, of, each in zip(last, images, explorers, strict=True)
        ]
        yield last[0] if len(last) == 1 else last


@contextmanager
def _told() -> Iterator[None]:
    """Within it, UserErrors are shown on the page."""
    try:
        yield
    except UserError as error:
        raise gr.Error(str(error), print_exception=False) from error
