"""The data set that the ``data`` group names; its class is the schema: keys have the types of its arguments."""

import inspect
from dataclasses import field, make_dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, get_type_hints

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException, ValidationError

from pixelcnn.configuration.messages import sentence
from pixelcnn.errors import UserError

if TYPE_CHECKING:
    from pixelcnn.data.base import ImageDataModule


def data_module(options: DictConfig) -> "ImageDataModule":
    """The data set, not yet loaded; raises UserError as ``check_data`` does."""
    data_set, arguments = check_data(options)
    return data_set(**arguments)


def check_data(options: DictConfig) -> tuple[type["ImageDataModule"], dict[str, Any]]:
    """The class that ``options`` name and its arguments, checked against its constructor.

    Raises UserError naming the key where an argument is unknown, missing or of the wrong type.
    """
    given: dict[str, Any] = OmegaConf.to_container(options, resolve=True)  # type: ignore[assignment]
    target = given.pop("_target_", None)
    if not isinstance(target, str):
        raise UserError(f"data._target_={target} names no data set: write package.module.Class.")
    data_set = _imported(target)
    # One level up, so that errors name the keys as the user gave them.
    schema = OmegaConf.create({"data": OmegaConf.structured(schema_of(data_set))})
    try:
        checked = OmegaConf.merge(schema, {"data": given})
    except OmegaConfBaseException as error:
        raise UserError(sentence(error)) from error
    missing = sorted(OmegaConf.missing_keys(checked))
    if missing:
        raise UserError(f"{missing[0]} has no value: give {missing[0]}=VALUE.")
    return data_set, OmegaConf.to_container(checked.data)  # type: ignore[return-value]


def schema_of(data_set: type) -> type:
    """A dataclass of the constructor's arguments, those that a ``**`` hands on to a parent's constructor included."""
    arguments: dict[str, tuple[str, Any, Any]] = {}
    for owner in data_set.__mro__:
        if "__init__" not in vars(owner):
            continue
        constructor = vars(owner)["__init__"]
        hints = get_type_hints(constructor)
        kinds = set()
        for name, parameter in list(inspect.signature(constructor).parameters.items())[1:]:
            kinds.add(parameter.kind)
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                default = MISSING if parameter.default is parameter.empty else parameter.default
                hint = _expressible(hints.get(name, Any))
                arguments.setdefault(name, (name, hint, field(default=default)))
        if inspect.Parameter.VAR_KEYWORD not in kinds:
            break
    return make_dataclass(data_set.__name__, arguments.values())


def _imported(target: str) -> Any:
    module, _, name = target.rpartition(".")
    try:
        data_set = getattr(import_module(module), name, None)
    except (ModuleNotFoundError, ValueError) as error:
        raise UserError(f"data._target_={target} cannot be imported ({error}): write package.module.Class.") from error
    if not isinstance(data_set, type):
        raise UserError(f"data._target_={target} is not a class: write package.module.Class.")
    return data_set


def _expressible(hint: Any) -> Any:
    """``hint``, or Any where it is none of OmegaConf's: a data set may take what YAML has no type for."""
    try:
        OmegaConf.structured(make_dataclass("Probe", [("value", hint)]))
    except ValidationError:
        return Any
    return hint
