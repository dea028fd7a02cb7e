"""A Sphinx extension: the directive `configuration-reference` writes every group of conf/ with its options and keys.

Types and further defaults come from the constructors that the options name, the rest from the YAML files and their
comments, so that nothing about a key is written a second time.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from pixelcnn.configuration.groups import GROUPS, TARGET, imported
from pixelcnn.signature import Argument, arguments_of, expected

CONF = Path(__file__).parents[1] / "conf"


class Option:
    """One YAML file: its leading comment, and key -> (value, comment), keys of its defaults included."""

    def __init__(self, path: Path) -> None:
        lines = path.read_text().splitlines()
        start = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
        told = (line.lstrip("# ").rstrip() for line in lines[:start])
        self.about = " ".join(line for line in told if not line.startswith("@package"))
        self.keys: dict[str, tuple[str, str]] = {}
        for default in (yaml.safe_load(path.read_text()) or {}).get("defaults", []):
            named = str(default).removesuffix("@_here_")  # / begins those of conf/, all others lie beside this file
            inherited = CONF / f"{named[1:]}.yaml" if named.startswith("/") else path.parent / f"{named}.yaml"
            if inherited.exists():
                self.keys |= Option(inherited).keys
        self.keys |= dict(_commented(yaml.compose(path.read_text()), lines))
        self.keys.pop("defaults", None)


def _commented(mapping: Any, lines: list[str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Key -> (value, comment) of a YAML mapping, those of nested ones by dotted keys."""
    for key, value in mapping.value:
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            comment = lines[key.end_mark.line][key.end_mark.column + 1 :]
            yield key.value, ("", comment.lstrip(" #"))
            yield from ((f"{key.value}.{inner}", told) for inner, told in _commented(value, lines))
        else:
            comment = lines[value.end_mark.line][value.end_mark.column :] if value.end_mark.line < len(lines) else ""
            text = re.sub(r"\s+#.*", "", lines[value.start_mark.line][value.start_mark.column :])
            yield key.value, (text, comment.partition("#")[2].strip())


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("_target_", "\\_target\\_")


def _rows(prefix: str, keys: dict[str, tuple[str, str]], group: str) -> Iterator[str]:
    """Table rows of one part: the keys of its file, then the constructor's other arguments (but for Lightning's)."""
    target = imported(keys["_target_"][0], group)
    kind = GROUPS[group]
    known = arguments_of(target) | dict(kind.beside())
    further = [] if target.__module__.startswith("pytorch_lightning") else [*known]
    for name in dict.fromkeys([*keys, *further]):
        if name in TARGET or (name in kind.given and name not in keys):
            continue
        value, comment = keys.get(name, ("", ""))
        argument = known.get(name, Argument(Any))
        if name not in keys and not argument.required:
            value = json.dumps(argument.default, default=str)
        kind_of = "" if argument.hint is Any else expected(argument.hint)
        yield f"| `{prefix}{name}` | {_cell(kind_of)} | {value and f'`{value}`'} | {_cell(comment)} |"


def _option(group: str, name: str, option: Option) -> Iterator[str]:
    yield from (f"### `{group}={name}`", "")
    if option.about:
        yield from (option.about, "")
    named = [key for key in option.keys if f"{key}._target_" in option.keys]
    for part in named if GROUPS[group].several else [""]:
        start = f"{part}." if part else ""
        keys = {key.removeprefix(start): told for key, told in option.keys.items() if key.startswith(start)}
        if part and option.keys[part][1]:
            yield from (f"`{group}.{part}`: {option.keys[part][1]}", "")
        yield from (f"`_target_`: `{keys['_target_'][0]}`", "")
        if rows := list(_rows(f"{group}.{start}", keys, group)):
            yield from ("| key | type | default | |", "|---|---|---|---|", *rows, "")


def page() -> str:
    """The reference in Markdown."""
    lines = ["## Top level", "", "| key | default | |", "|---|---|---|"]
    top = Option(CONF / "config.yaml").keys
    lines += [f"| `{k}` | {v and f'`{v}`'} | {_cell(c)} |" for k, (v, c) in top.items() if not k.startswith("hydra")]
    for group in GROUPS:
        if not (CONF / group).is_dir():  # against, which has the options of data
            continue
        lines += ["", f"## {group}", ""]
        for path in sorted((CONF / group).glob("*.yaml")):
            lines += _option(group, path.stem, Option(path))
    lines += ["", "## experiment", "", "| option | |", "|---|---|"]
    for path in sorted((CONF / "experiment").rglob("*.yaml")):
        name = path.relative_to(CONF / "experiment").with_suffix("")
        lines.append(f"| `experiment={name}` | {_cell(Option(path).about)} |")
    return "\n".join(lines) + "\n"


class ConfigurationReference(SphinxDirective):
    """The directive."""

    def run(self) -> list[nodes.Node]:
        """Parse the page as if it were written in its place."""
        return self.parse_text_to_nodes(page(), allow_section_headings=True)


def setup(app: Any) -> dict[str, bool]:
    """Sphinx's entry."""
    app.add_directive("configuration-reference", ConfigurationReference)
    return {"parallel_read_safe": True}
