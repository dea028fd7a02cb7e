"""What the README, the pages in ``docs/``, ``--help`` and the quickstart tell people to type works, and what they name
exists."""

import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import chain, zip_longest
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

import run
from pixelcnn.cli import CONF
from pixelcnn.conditioning import ClassLabels, Encoder
from pixelcnn.configuration.checks import check
from pixelcnn.configuration.groups import GROUPS, imported, parts_of, target_of
from pixelcnn.launch import devices
from pixelcnn.model import build
from pixelcnn.signature import arguments_of
from tests.conftest import tiny_description
from tests.original.test_golden import GOLDEN
from tests.tasks.composing import composed, keys_of, without_hydra
from tests.tasks.page_commands import ALL, FILES, OTHERS, OURS, PAGES, ROOT, STARTS, TELLING
from tests.tasks.wrong_files import save

CLOTHES = "+data@against.clothes=fashion_mnist"
USED = ("model.num_filters", "model.num_resnet", "callbacks", "data", "trainer", "logger")  # of TINY by any network
# Above the command's own values, so that it is done in a second by one process.
TINY = {
    "train": [
        *("model.num_filters=4", "model.num_resnet_blocks=1", "model.num_stages=2", "model.num_layers=1"),
        *("model.num_blocks=1", "model.num_attention_blocks=1", "model.num_output_features=8"),
        *("initialisation.size=8", "callbacks.samples=null"),
        *("data.batch_size=8", "data.val_size=4", "trainer.max_steps=1", "trainer.val_check_interval=null"),
        "scheduler.warmup=0",
        *("trainer.devices=1", "trainer.num_nodes=1", "trainer.accelerator=cpu", "logger=none"),
        *("hydra.sweeper.n_trials=1", "hydra.sweeper.n_jobs=1", "hydra.launcher.n_jobs=1"),
    ],
    "evaluate": ["trainer.devices=1", "trainer.accelerator=cpu"],
    "classify": ["trainer.devices=1", "trainer.accelerator=cpu"],
    "explore": ["task.port=null"],
    "sample": ["task.num_samples=2"],
    "complete": ["task.num_images=1", "task.num_completions=1"],
    "compress": [],
    "decompress": [],
    "import": ["task.image_size=8"],
    "export": [],
    "compare": [],
    "ood": ["data.val_size=4", "task.num_images=8", "task.num_reference=8", "task.num_maps=1", "task.resamples=2"],
    "info": ["task.image_size=8", "model.num_filters=4", "model.num_resnet_blocks=1"],
}


def test_commands_are_found():
    assert {"make quickstart", "python -m bench.conditioning"} <= set(OTHERS)
    assert "python run.py experiment=cifar10 trainer.devices=8" in OURS and len(OURS) > 40
    assert all(any(command.startswith(start) for command in ALL) for start in STARTS)


@pytest.mark.parametrize("command", OTHERS)
def test_what_is_beside_run_py_exists(command):
    # To look for the module pip here would break distutils for what torch compiles in this process later.
    program, *arguments = command.removeprefix("python -m ").split()
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)
        assert {argument for argument in arguments if "=" not in argument} <= set(targets)
    elif program == "pip":
        assert (ROOT / arguments[-1]).exists() or arguments == ["install", "mlflow"]  # an example of a package
    elif arguments and arguments[0].startswith("examples/"):  # of minutes, as what follows
        assert (ROOT / arguments[0] / "__main__.py").exists()
    else:
        assert command.startswith("python -m ") and find_spec(program) is not None


@pytest.fixture(scope="module")
def material(call, tmp_path_factory) -> dict[str, str]:
    """Files for those that the documentation names."""
    folder = tmp_path_factory.mktemp("material")
    images = np.random.default_rng(0).integers(0, 17, (24, 8, 8)).astype(np.uint8)
    for split in ("train", "test"):
        levels, labels = np.array(17), np.arange(24) % 10
        np.savez(folder / f"{split}.npz", images=images, codes=images, levels=levels, labels=labels)
        for root, depth in ((folder, images), (folder / "scans", images.astype(np.uint16) * 4000)):
            (root / split).mkdir(parents=True)
            for i, pixels in enumerate(depth):
                Image.fromarray(pixels).save(root / split / f"{i}.png")
    runs = {kind: folder / kind for kind in ("none", "class", "encoder", "orders")}
    other = ("hydra", "model.num_layers", "model.num_blocks", "model.num_attention_blocks")
    tiny = [key for key in TINY["train"] if not key.startswith(other)]
    tiny.remove("model.num_output_features=8")
    files = (f"data.train={folder}/train.npz", f"data.test={folder}/test.npz")
    call("data=arrays", *files, *tiny, f"hydra.run.dir={runs['none']}")
    for kind, options in (
        ("class", {"conditioning": partial(ClassLabels, num_classes=10)}),
        ("encoder", {"conditioning": partial(Encoder, code_size=3, num_filters=4)}),
        ("orders", {"order": "all"}),
    ):
        model = build(tiny_description(channels=1, levels=17, num_stages=2, **options))
        (runs[kind] / "checkpoints").mkdir(parents=True)
        save(model, runs[kind] / "checkpoints" / "best.ckpt")
    best = runs["none"] / "checkpoints" / "best.ckpt"
    call("task=evaluate", f"checkpoint={best}", *TINY["evaluate"], f"hydra.run.dir={folder}/evaluation")
    call("task=compress", f"checkpoint={best}", f"hydra.run.dir={folder}/archive")
    return {
        "images.pxc": f"{folder}/archive/images.pxc",
        "EVALUATION": f"{folder}/evaluation",
        "FILE": f"{folder}/test/0.png",
        "RUN_OF_CLASSES": str(runs["class"]),
        "RUN_OF_ORDERS": str(runs["orders"]),
        "RUN": str(runs["none"]),
        "BACKGROUND": str(runs["none"]),
        "outputs/conditioning/class": str(runs["class"]),
        "outputs/conditioning/encoder": str(runs["encoder"]),
        "outputs/conditioning/test.npz": str(folder / "test.npz"),
        "DIR": str(folder),
        "SCANS": f"{folder}/scans",
        **{name: str(folder / "train.npz") for name in ("A.npz", "train.npz")},
        **{name: str(folder / "test.npz") for name in ("B.npz", "test.npz")},
        "params_cifar.ckpt": f"{GOLDEN}/uncond_small.npz",
    }


def typed(command: str, material: dict[str, str]) -> list[str]:
    """What ``run.py`` is given in ``command``, with real files for those that it names."""
    given = command.partition("run.py")[2].replace("data=…", "").replace("…", "")
    if "task.label=all" in given or "task=classify" in given:
        given = given.replace("RUN", "RUN_OF_CLASSES")
    if "task.orders" in given:
        given = given.replace("RUN", "RUN_OF_ORDERS")
    if "task=ood" in given:  # one of colour, and the material is grey
        given = given.replace("cifar10_small", "RUN").replace("channels=3", "channels=1")
    for name, path in material.items():
        given = re.sub(rf"(?<![\w/.]){re.escape(name)}(?![\w.])", path, given)
    return shlex.split(given)


def checked(config: DictConfig) -> DictConfig:
    """``config`` as a job gets it, after ``run.py``'s checks."""
    job = without_hydra(config)
    check(job)
    return job


@pytest.mark.slow
@pytest.mark.parametrize("command", OURS)
def test_commands_run_at_a_tiny_size(command, call, material, tmp_path, monkeypatch):
    arguments = typed(command, material)
    if {"--help", "--cfg"} & set(arguments):
        monkeypatch.setattr("sys.argv", ["run.py", *arguments])
        with suppress(SystemExit):  # of status 0
            run.main()
        return
    sweeps = "-m" in arguments or "sweep=optuna" in arguments
    values = [argument for argument in arguments if argument != "-m"]
    if "data=stripes" in values:
        values += stripes(tmp_path, monkeypatch)
        call(*values, *(key for key in TINY["train"] if key.startswith(USED)), f"hydra.run.dir={tmp_path}/run")
        return
    as_it_stands = composed(values)
    with monkeypatch.context() as patch:
        patch.setattr(devices, "_gpus", lambda: 8)
        checked(as_it_stands)
    if "submitit" in command or command not in TELLING:  # Slurm is needed, or others run all that it asks for
        return
    given = tiny(values, as_it_stands, material)
    if sweeps:
        call("-m", *given, f"hydra.sweep.dir={tmp_path}/sweep")
        assert (tmp_path / "sweep" / "sweep.csv").read_text().count("bits_per_dim") == 1
    elif "task=info" in given:  # asks Hydra for more
        call(*given, f"hydra.run.dir={tmp_path}/run")
    elif "task=explore" in given:  # until Ctrl-C
        pytest.importorskip("gradio", reason="an optional extra: requirements-explore.txt")
        monkeypatch.setattr("pixelcnn.tasks.explore.wait", lambda: None)
        call(*given, f"hydra.run.dir={tmp_path}/run")
    else:
        config = checked(composed(given))
        import_module(target_of(config, "task").module()).run(config, tmp_path, given)
        assert list(tmp_path.iterdir())


def accepted(config: DictConfig) -> Iterator[str]:
    """The keys of ``config``, and those that constructors have defaults for."""
    yield from keys_of(config)
    for group in GROUPS:
        for where, part in parts_of(config, group).items():
            yield from (f"{where}.{argument}" for argument in arguments_of(imported(part["_target_"], where)))


def tiny(values: list[str], config: DictConfig, material: dict[str, str]) -> list[str]:
    """``values`` with those of TINY above them that ``config`` has, and data that needs no download."""
    task = config.task.name
    if target_of(config, "task").uses_data and config.data._target_.rpartition(".")[2] not in (
        "Images",
        "Arrays",
        "Codes",
        "Digits",
    ):
        own = ("data=arrays", f"data.train={material['train.npz']}", f"data.test={material['test.npz']}")
        values = [*(value for value in values if not value.startswith(("data=", "data."))), *own]
    if config.against:
        others = (value for value in values if not value.startswith(("data@", "+data@", "against.")))
        values = [*others, "data@against=arrays", f"against.test={material['train.npz']}"]
    known = set(accepted(config))
    above = [value for value in TINY[task] if value.partition("=")[0] in known or value.startswith("logger=")]
    return list({value.partition("=")[0]: value for value in (*values, *above)}.values())


def stripes(folder: Path, monkeypatch) -> list[str]:
    """The data set of docs/data.md, put where it says; returns where Hydra finds it."""
    page = PAGES["data.md"].partition("`my_data.py`:")[2]
    python, yaml = re.findall(r"^```(?:python|yaml)\n(.*?)^```", page, re.M | re.S)[:2]
    (folder / "my_data.py").write_text(python)
    (folder / "data").mkdir()
    (folder / "data" / "stripes.yaml").write_text(yaml)
    monkeypatch.syspath_prepend(str(folder))
    return [f"hydra.searchpath=[file://{folder}]"]


@pytest.mark.parametrize("page", ["README.md", "python.md", "own-parts.md", "codes.md"])
def test_the_python_of_a_page_runs(page, material, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "of_a_page"}
    for code in re.findall(r"^```python\n(.*?)^```", PAGES[page], re.M | re.S):
        exec(code.replace("RUN", material["RUN"]), names)
        if "pixelcnn.load(" in code:
            assert len(names["images"]) == 16
    if page == "own-parts.md":
        assert names["trainer"].callback_metrics["train/weight_norm"] > 0
        every = torch.arange(17, dtype=torch.float64).view(-1, 1, 1, 1)
        masses = names["model"].likelihood.log_prob(torch.full_like(every, 0.3), every.to(torch.uint8)).exp()
        assert masses.sum().item() == pytest.approx(1)


def test_no_python_is_left_out():
    """The others are files of data sets, which tests of their own use."""
    blocks = {page: text.count("```python\n") for page, text in PAGES.items()}
    pages = {"README.md", "python.md", "own-parts.md", "data.md", "codes.md"}
    assert {page for page, count in blocks.items() if count} == pages
    assert blocks["data.md"] == 2


@pytest.mark.parametrize("page", FILES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"""(?:\]\(|src=")(?!https?:)([^)"]+)""", PAGES[page.name]):
        path, _, heading = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.*)", file.read_text(), re.M)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}, target


def test_every_page_is_in_the_contents():
    listed = set(re.findall(r"^([a-z-]+)$", PAGES["index.md"], re.M))
    assert {name.removesuffix(".md") for name in PAGES} - {"README", "CONTRIBUTING", "index"} == listed


def test_every_key_and_option_that_is_named_exists():
    """In running text too, such as `data.val_size=0`."""
    spans = re.findall(r"`([^`\n]+)`", "\n".join(PAGES.values()))
    spans = [span for span in spans if not re.match(r"[\w.]+\(", span)]  # which are Python
    text = " ".join([*spans, *ALL])
    options: dict[str, set[str]] = {}
    for path in CONF.glob("*/**/*.yaml"):
        group, _, option = str(path.relative_to(CONF).with_suffix("")).partition("/")
        options.setdefault(group, set()).add(option)
    # The first options of all groups together, then the second ones, and so on, for their keys alone.
    apart = {"experiment", "sweep", "hydra"}
    rounds = zip_longest(*(sorted(f"{group}={name}" for name in options[group]) for group in options.keys() - apart))
    chosen = [[option for option in choice if option] for choice in rounds]
    plugins = (["sweep=optuna", "hydra/launcher=submitit_slurm"], ["hydra/launcher=joblib"])
    against = (["data@against=images"], ["+data@against.own=images", "+data@against.numbers=svhn", CLOTHES])
    several = (["conditioning=[class,vector,spatial,coarse]"],)
    choices = (*chosen, *plugins, *against, *several)
    known = set(options) | set(chain.from_iterable(accepted(composed(choice)) for choice in choices))
    named = re.findall(r"(?<![\w./-])([a-z_]+(?:\.[a-z_]+)*)=([\w/]*)", text)
    assert len(named) > 100
    examples = {
        ("install", "bash"),
        ("data.noise", "5"),
        ("data.url", "s3"),
        ("group", "option"),
        ("key", "value"),
        ("group.key", "value"),
    }
    for key, value in set(named) - examples:
        assert key in known, key
        if key in options and re.match("[a-z]", value):
            there = options[key] | {"stripes", "stream", "my_option", "tosses"}
            families = {f"{option.rpartition('/')[0]}/" for option in there}  # as in `experiment=ablation/…`
            assert value in there | families, f"{key}={value}"
