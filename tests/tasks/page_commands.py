"""The commands on the README's and the documentation's pages, and those of them that are run."""

import re
from itertools import chain

from omegaconf import OmegaConf

from pixelcnn.cli import CONF

ROOT = CONF.parent
FILES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
PAGES = {path.name: path.read_text() for path in FILES}
HELP = OmegaConf.to_container(OmegaConf.load(CONF / "hydra/help/pixelcnn.yaml"), resolve=False)["template"].replace(
    "${command:}", "python run.py"
)
QUICKSTART = (ROOT / "docs/quickstart.txt").read_text().replace("PYTHON", "python")
STARTS = ("python ", "torchrun ", "srun ", "make ", "pip ")


def commands(text: str) -> list[str]:
    """Every command of ``text``, its continued lines joined, without its comment; `…` stands for further arguments."""
    fenced = re.findall(r"^```([^\n]*)\n(.*?)^```$", text, re.M | re.S)
    blocks = [block for language, block in fenced if not language] if fenced else [text]
    lines = chain.from_iterable(re.sub(r"\\\n\s*", "", block).splitlines() for block in blocks)
    found = [re.split(r"\s+#\s|\s{2,}", line.strip())[0] for line in lines if line.strip().startswith(STARTS)]
    prose = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return [*found, *(" ".join(span.split()) for span in re.findall(r"`((?:python|make|pip) [^`]*)`", prose))]


ALL = list(dict.fromkeys(chain.from_iterable(map(commands, (*PAGES.values(), HELP, QUICKSTART)))))
OURS = [command for command in ALL if "run.py" in command and "[" not in command]  # that one tells the form
# Sweeps take longest; of two that begin alike the longer one tells more.
SWEEPS = [command for command in OURS if " -m " in command or " sweep=" in command]
OURS = [
    command for command in OURS if not any(other.startswith(f"{command} ") for other in SWEEPS if command in SWEEPS)
]
OTHERS = [command for command in ALL if "run.py" not in command]
HERE = ("arrays", "codes", "digits", "images", "stripes")  # data sets that need no download


def asked_for(command: str) -> set[tuple[str, str]]:
    """The task of ``command`` with each option and each key that it sets, without those of data not at hand."""
    arguments = [argument.lstrip("+") for argument in command.partition("run.py")[2].split()]
    task = next((argument for argument in arguments if argument.startswith("task=")), "task=train")
    data = next((argument.partition("=")[2] for argument in arguments if argument.startswith("data=")), "arrays")
    asked = {task}
    for argument in arguments:
        key = argument.partition("=")[0]
        if (data in HERE or not key.startswith("data")) and key not in ("hydra.run.dir", "hydra.sweep.dir"):
            asked.add(argument if (CONF / key.partition("@")[0]).is_dir() else key)
    return {(task, one) for one in asked}


def telling(commands: list[str]) -> set[str]:
    """Those of ``commands`` of which each asks for something that the ones before it do not, longest first."""
    found, asked = set(), set[tuple[str, str]]()
    for command in sorted(commands, key=lambda command: -len(asked_for(command))):
        if asked_for(command) - asked:
            found.add(command)
            asked |= asked_for(command)
    return found


TELLING = telling(OURS)
