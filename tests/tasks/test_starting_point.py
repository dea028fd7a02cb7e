from types import SimpleNamespace

import pytest

from pixelcnn.tasks import starting_point
from tests.training.tiny import Noise, tiny_module


def test_the_initialisation_is_computed_on_the_device_that_trains(monkeypatch):
    class FoundError(Exception):
        pass

    def found(model, images, condition):
        raise FoundError({value.device.type for value in (*model.parameters(), images, condition)})

    monkeypatch.setattr(starting_point, "one_device", lambda options: "meta")  # which every machine has
    monkeypatch.setattr(starting_point, "data_dependent_initialisation", found)
    data = Noise()
    data.setup("fit")
    config = SimpleNamespace(trainer=None, initialisation=SimpleNamespace(size=8))
    with pytest.raises(FoundError) as error:
        starting_point._initialise(tiny_module(conditional=True).model, data, config)
    assert error.value.args == ({"meta"},)
