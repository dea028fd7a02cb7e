"""A checkpoint's parts are imported from this project, torch and trusted packages alone, and only parts are called."""

import sys

import pytest

from pixelcnn.description import GIVEN, ModelDescription
from pixelcnn.errors import UserError
from tests.conftest import tiny_description

# Outside; inside but no class of its own, no class, no part of a model.
HARMFUL = [
    "os.system", "subprocess.Popen", "untrusted.Part", "pixelcnn_evil.Part", "",
    "pixelcnn.data.base.os.system", "pixelcnn.durable.os", "torch.load", "torch.hub.load",
    "torch.serialization.os.system", "pixelcnn.checkpoint.load", "pixelcnn.description.ModelDescription",
    "pixelcnn.no_such.Part",
]  # fmt: skip


@pytest.mark.parametrize("role", GIVEN)
@pytest.mark.parametrize("target", HARMFUL)
def test_nothing_else_is_imported_or_called(tmp_path, monkeypatch, role, target):
    for name in ("untrusted", "pixelcnn_evil"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)
    stored = tiny_description().to_dict()
    stored[role] = {"_target_": target, "command": f"touch {tmp_path}/ran", "args": f"touch {tmp_path}/ran"}
    with pytest.raises(UserError, match=f"^{role} .*'{target}'"):
        ModelDescription.from_dict(stored)
    assert not (tmp_path / "ran").exists() and not {"untrusted", "pixelcnn_evil"} & sys.modules.keys()


def test_a_trusted_package_is_imported(tmp_path, monkeypatch):
    (tmp_path / "trusted_paper.py").write_text(
        "from pixelcnn.network import PixelCNNPP\nclass Mine(PixelCNNPP):\n    name = 'mine'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    stored = tiny_description().to_dict()
    stored["network"]["_target_"] = "trusted_paper.Mine"
    with pytest.raises(UserError, match=r"trust=\[trusted_paper\]"):
        ModelDescription.from_dict(stored)
    assert ModelDescription.from_dict(stored, ["trusted_paper"]).network.name == "mine"


def test_a_module_of_a_package_is_trusted_alone():
    stored = {**tiny_description().to_dict(), "network": {"_target_": "no_such_paper.nets.Mine"}}
    for trust in ("no_such_paper.nets", ["no_such_paper"], ["no_such_paper.nets"]):
        with pytest.raises(UserError, match="cannot be imported"):
            ModelDescription.from_dict(stored, trust)
    for trust in ((), ["no_such_paper.net"], ["no_such"], ["no_such_paper.nets.Mine.x"]):
        with pytest.raises(UserError, match="from outside this project"):
            ModelDescription.from_dict(stored, trust)
