"""The results ledger: each released model's score and cost, and whether the score is reproduced.

    python -m bench.ledger                            score every released model again, and write docs/results.md
    python -m bench.ledger --only digits
    python -m bench.ledger --on cifar10_small data=arrays data.train=train.npz data.test=test.npz
    python -m bench.ledger --add NAME RUN data=…      release the best checkpoint of the training run in RUN
    python -m bench.ledger --busy --add NAME RUN …    the same, if other programs used its machine

``--on`` and ``--add`` take the overrides of the data set to score on. A released model is a folder of released/: the
model in float16, samples.png, result.json and a card. A score that is off by more than 0.001 bits/dim is a failure.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from bench.curves import logged
from pixelcnn.checkpoint import export, load, read
from pixelcnn.configuration.groups import register
from pixelcnn.released import WEIGHTS
from pixelcnn.training.arithmetic import training_flops
from pixelcnn.weights_hash import weights_hash

HOME = Path(__file__).parent.parent
RELEASED, PAGE = HOME / "released", HOME / "docs" / "results.md"
TOLERANCE = 0.001  # bits/dim
SCORE = "test/bits_per_dim"
OF_THIS_MACHINE = ("data.root=", "hydra.", "checkpoint=", "trainer.enable_progress_bar=")
FILES = {"data.train": "train.npz", "data.test": "test.npz"}  # what the card calls them


def evaluated(model: Path, overrides: list[str]) -> dict[str, Any]:
    """The metrics of ``task=evaluate`` on the test images."""
    with tempfile.TemporaryDirectory() as folder:
        keys = [f"checkpoint={model}", f"hydra.run.dir={folder}", "trainer.enable_progress_bar=false", *overrides]
        subprocess.run([sys.executable, "run.py", "task=evaluate", *keys], cwd=HOME, check=True, capture_output=True)
        return json.loads((Path(folder) / "metrics.json").read_text())


def release(
    name: str, run: Path, overrides: list[str], data: str, test: str, busy: bool = False, note: str | None = None
) -> None:
    """Write released/NAME. ``data``: the data option to record instead of the run's; ``test``: describes the images of
    ``overrides``; ``busy``: whether other programs used the machine too; ``note``: what the command does not say."""
    folder = RELEASED / name
    model, stored = load(run), read(run)["pixelcnn"]
    register()
    with initialize_config_dir(str(HOME / "conf"), version_base=None):
        stored["config"]["data"] = OmegaConf.to_container(compose("config", [f"data={data}"]).data, resolve=True)
    export(model, stored["config"], folder, dtype=torch.float16)
    record = json.loads((run / "run.json").read_text())
    trained = json.loads((run / "metrics.json").read_text())
    speeds = [float(row["train/images_per_second"]) for row in logged(run) if row.get("train/images_per_second")]
    scored = evaluated(folder, overrides)
    full = evaluated(run, overrides)
    typed = (key.partition("=") for key in record["ranks"][0]["overrides"] if not key.startswith(OF_THIS_MACHINE))
    shown = [f"{key}={FILES.get(key, value)}" for key, _, value in typed]
    result = {
        "command": f"python run.py {' '.join(shown)}",
        "commit": record["git_revision"],
        "date": date.today().isoformat(),
        "parameters": record["num_parameters"],
        "images": int(trained["images"]),
        "flop": trained["images"] * training_flops(model),
        "device": f"{record['device']}, busy" if busy else record["device"],
        "minutes": round(trained["images"] / (sum(speeds) / len(speeds)) / 60, 1),
        "test": test,
        "num_images": scored["test/num_images"],
        SCORE: scored[SCORE],
        "ci95": scored.get(f"{SCORE}_ci95"),
        "float32": full[SCORE],
        "weights": weights_hash(load(folder)),
        **({"note": note} if note else {}),
    }
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    with tempfile.TemporaryDirectory() as drawn:
        of_each = ["task.num_samples=64"] if model.num_classes is None else ["task.label=all", "task.num_samples=8"]
        keys = [f"checkpoint={folder}", *of_each, f"hydra.run.dir={drawn}"]
        subprocess.run([sys.executable, "run.py", "task=sample", *keys], cwd=HOME, check=True, capture_output=True)
        shutil.copy(Path(drawn) / "samples.png", folder)
    (folder / "README.md").write_text(card(name, result, (folder / WEIGHTS).stat().st_size))


def card(name: str, result: dict[str, Any], num_bytes: int) -> str:
    """The model's card, in Markdown."""
    count = f"{result['num_images']:,}"
    tested = result["test"] if count in result["test"] else f"{count} images of {result['test']}"
    note = f"| note | {result['note']} |\n" if "note" in result else ""
    return f"""# {name}

`pixelcnn.load("{name}")`, or `checkpoint={name}` on the command line.

| | |
|---|---|
| test bits/dim | {result[SCORE]:.4f} ± {result["ci95"]:.4f} (95 % over images) on {tested} |
| the same weights in float32 | {result["float32"]:.4f} |
| parameters | {result["parameters"]:,} in {num_bytes / 1e6:.1f} MB |
| trained on | {result["images"]:,} images, {result["flop"]:.2g} FLOP |
| time | about {result["minutes"]:g} minutes on {result["device"]} |
| command | `{result["command"]}` |
| commit | {result["commit"]}, {result["date"]} |
{note}
![Samples](samples.png)
"""


def page(results: dict[str, dict[str, Any]]) -> str:
    """docs/results.md."""
    lines = [
        "# Results",
        "",
        "Written by `make ledger`, which scores every released model again and fails if a score is not reproduced.",
        "Scores are of the released float16 weights in float32 arithmetic, with the 95 % interval over images.",
        "Minutes are training time on that device; busy: other programs used it too. Dates are those of the scores.",
        "The recipe of `digits` is on its card: it is not the quickstart's, whose 1.77 bits/dim is on held-out",
        "training images.",
        "",
        "| model | test bits/dim | parameters | images seen | FLOP | minutes | device | date | test images |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, result in results.items():
        cells = [
            f"[{name}](../released/{name}/README.md)",
            f"{result[SCORE]:.4f} ± {result['ci95']:.4f}",
            f"{result['parameters']:,}",
            f"{result['images']:,}",
            f"{result['flop']:.2g}",
            f"{result['minutes']:g}",
            result["device"],
            result["date"],
            result["test"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def check(name: str, result: dict[str, Any], overrides: list[str]) -> bool:
    """Score the released model ``name`` again and print whether the score is reproduced."""
    folder = RELEASED / name
    if weights_hash(load(folder)) != result["weights"]:
        print(f"FAIL {name}: its weights are not those that were scored")
        return False
    try:
        found = evaluated(folder, overrides)
    except subprocess.CalledProcessError as error:
        print(f"not scored: {name}: {error.stderr.decode().strip().splitlines()[-1]}")
        return True
    if found["test/num_images"] != result["num_images"]:
        print(f"not compared: {name}: {found['test/num_images']} images, {result['num_images']} in the ledger")
        return True
    same = abs(found[SCORE] - result[SCORE]) <= TOLERANCE
    print(f"{'pass' if same else 'FAIL'} {name}: {found[SCORE]:.4f} bits/dim, {result[SCORE]:.4f} in the ledger")
    return same


def main() -> None:
    """Add a model, or score those that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--add", nargs="+", metavar=("NAME", "RUN"), help="NAME RUN OVERRIDE…")
    parser.add_argument("--data", default="cifar10", help="with --add: the users' data option")
    parser.add_argument("--busy", action="store_true", help="with --add: other programs used the machine too")
    parser.add_argument("--test", help="with --add: name of the test images")
    parser.add_argument("--note", help="with --add: what the command does not say of the training")
    parser.add_argument("--on", nargs="+", action="append", default=[], metavar=("NAME", "OVERRIDE"))
    parser.add_argument("--only", nargs="*", help="names of models")
    arguments = parser.parse_args()
    if arguments.add:
        name, run, *overrides = arguments.add
        test, busy, note = arguments.test or arguments.data, arguments.busy, arguments.note
        release(name, Path(run).resolve(), overrides, arguments.data, test, busy, note)
    results = {path.parent.name: json.loads(path.read_text()) for path in sorted(RELEASED.glob("*/result.json"))}
    on = {name: overrides for name, *overrides in arguments.on}
    names = arguments.only or list(results)
    unknown = sorted({*names, *on} - results.keys())
    if unknown:
        parser.error(f"{unknown[0]} is not a released model: choose from {', '.join(results)}")
    PAGE.write_text(page(results))
    if not arguments.add:
        came_back = [check(name, results[name], on.get(name, [])) for name in names]
        if not all(came_back):
            raise SystemExit(1)


if __name__ == "__main__":
    main()
