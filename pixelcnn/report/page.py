"""The page: its content, and how it is written."""

from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pixelcnn.durable import replacing


@dataclass(frozen=True)
class Picture:
    """A picture as data URIs; ``dark`` is the one for a dark page, where it differs."""

    light: str
    alt: str
    dark: str | None = None
    caption: str = ""
    width: int | None = None  # of CSS pixels; None: its own, or what there is room for


@dataclass(frozen=True)
class Table:
    """Rows of cells that are ready to be read."""

    header: list[str]
    rows: list[list[str]]


@dataclass(frozen=True)
class Section:
    """``layout``: "wide" for one plot, "plots" for several side by side, "pictures" for grids and single images."""

    title: str
    note: str = ""
    layout: str = "wide"
    pictures: list[Picture] = field(default_factory=list)
    table: Table | None = None


@dataclass(frozen=True)
class Outcome:
    """What is seen at a glance: ``state`` in a word or two, coloured by ``mood`` ("good", "open" or "bad")."""

    state: str
    mood: str
    headline: str
    explanation: str


@dataclass(frozen=True)
class Page:
    """All of a report. What it says is text, which the template escapes."""

    title: str
    directory: str  # of the run
    outcome: Outcome
    facts: list[tuple[str, str]]
    sections: list[Section]
    commands: list[tuple[str, str]]  # what for, command line
    overrides: list[str]
    configuration: str  # YAML
    environment: list[tuple[str, str]]
    written: str  # date and time


def write(page: Page, path: Path) -> None:
    """Write ``page`` as one HTML file that refers to nothing outside it; an earlier file stays until it is whole."""
    template = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("template.html")
    with replacing(path) as file:
        # Names of files need not be text.
        file.write(template.render(page=page).encode("utf-8", errors="backslashreplace"))
