"""Lightning's private names are used in one module, which refuses a release without one of them in a sentence."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from pytorch_lightning import Trainer

import pixelcnn
from pixelcnn.errors import UserError
from pixelcnn.training import lightning_internals
from pixelcnn.training.lightning_internals import USED, _ValidatedEpochLoop, _ValidatedFitLoop, adapt

ELSEWHERE = re.compile(
    r"(?:trainer|_loop|strategy|connector|super\(\)|callback)\._[a-z]|pytorch_lightning.* import .*\b_"
)


def tiny_trainer():
    return Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)


def test_this_lightning_has_all_of_them():
    adapt(tiny_trainer())


def test_a_lightning_without_one_of_them_is_refused(monkeypatch):
    monkeypatch.setitem(USED, "Trainer.fit_loop.epoch_loop._gone", "")
    with pytest.raises(UserError, match=r"^pytorch-lightning 2\S+ .*Trainer.fit_loop.epoch_loop._gone"):
        adapt(tiny_trainer())


def test_a_lightning_without_the_loops_is_refused():
    code = (
        "import pytorch_lightning.loops as loops; del loops._FitLoop\n"
        "from pixelcnn.errors import UserError\n"
        "try: import pixelcnn.training.lightning_internals\n"
        "except UserError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert re.match(r"pytorch-lightning \S+ lacks pytorch_lightning.loops._FitLoop or .*: pip install", said)


def test_they_are_named_and_in_one_module():
    here = Path(lightning_internals.__file__)
    own = {
        name for kind in (_ValidatedFitLoop, _ValidatedEpochLoop) for name in set(vars(kind)) - set(dir(kind.__base__))
    }
    named = set(re.findall(r"\b_[a-z]\w+", " ".join(USED)))
    assert set(re.findall(r"\.(_[a-z]\w+)", here.read_text())) - own == named
    for file in Path(pixelcnn.__file__).parent.rglob("*.py"):
        assert file == here or not ELSEWHERE.findall(file.read_text()), file
