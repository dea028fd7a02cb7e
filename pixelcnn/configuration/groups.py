"""Groups of ``conf/`` with ``_target_`` options: the class's constructor is their schema.

A part may be the project's own or a user's. Its keys are the constructor's arguments, with their types; other keys are
refused. If the constructor raises an error of `refusals_of_constructors`, it becomes a sentence that names the key.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any

from hydra._internal import config_loader_impl
from hydra._internal.defaults_list import create_defaults_list
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf, open_dict

from pixelcnn.errors import UserError
from pixelcnn.signature import Argument, arguments_of, checked, checked_arguments, refusal

TARGET = ("_target_", "_partial_")


@dataclass(frozen=True)
class Group:
    """A group: the arguments that the program passes to its parts, and keys beside the constructor's."""

    given: tuple[str, ...] = ()
    beside: Callable[[], Mapping[str, Argument]] = dict
    several: bool = False  # a dictionary of parts, named by the options, whose keys may replace ``given``
    or_one: bool = False  # of those, also allows a single part; its keys may not replace ``given``


def _beside_the_network() -> dict[str, Argument]:
    from pixelcnn.description import ModelDescription  # torch takes seconds to import
    from pixelcnn.execution import Execution

    return {"order": arguments_of(ModelDescription)["order"], **arguments_of(Execution)}


GROUPS = {
    "task": Group(),
    "data": Group(),
    "against": Group(several=True, or_one=True),  # chosen as data@against
    "model": Group(
        ("image_channels", "num_parameters", "num_groups", "condition_features", "image_levels"), _beside_the_network
    ),
    "likelihood": Group(("image", "masked_channels")),
    "conditioning": Group(("image", "scale", "embedding_features"), several=True, or_one=True),
    "objective": Group(),
    "optim": Group(("params", "matrices"), lambda: {"groups": Argument(list[dict], [])}),
    "scheduler": Group(("optimizer", "total_steps")),
    "ema": Group(),
    "trainer": Group(),
    "logger": Group(("run_dir", "save_dir", "config", "minimised", "run_id"), several=True),
    "callbacks": Group(("run_dir", "resume_command"), several=True),
    "scores": Group(
        ("model", "images", "condition", "reference", "trust"),
        lambda: {"batch": Argument(int, 1), "two_sided": Argument(bool, False)},
        several=True,
    ),
}


def register(keys: Mapping[str, Iterable[str]] = MappingProxyType({})) -> None:
    """Let Hydra accept any key in the groups; `checked_group` checks them. Call before composing.

    ``keys``, by group, are null in what it composes unless an option sets them.
    """
    nodes = {group: dict.fromkeys(keys.get(group, ())) for group in GROUPS}
    root = OmegaConf.create({group: OmegaConf.create(node, flags={"struct": False}) for group, node in nodes.items()})
    ConfigStore.instance().store(name="groups", node=root)
    config_loader_impl.create_defaults_list = _each_in_its_own  # Hydra has no package for each option of a list


def _each_in_its_own(*arguments: Any, **keywords: Any) -> Any:
    """Hydra's list of files to compose, with a key for each of several options in a group that may be one part."""
    composed = create_defaults_list(*arguments, **keywords)
    for group in (name for name, kind in GROUPS.items() if kind.or_one):
        files = [file for file in composed.defaults if file.package == group and file.config_path != "config"]
        parents = {str(file.config_path): str(file.parent) for file in files}
        options = [_option_of(str(file.config_path), parents) for file in files]
        chosen = [
            option.partition("/")[2] for option, file in zip(options, files, strict=True) if file.config_path == option
        ]
        twice = next((name for name in chosen if chosen.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"{group}=[{','.join(chosen)}] has {twice} twice: leave one of them out.")
        if len(chosen) > 1:
            for file, option in zip(files, options, strict=True):
                file.package = f"{group}.{option.rpartition('/')[2]}"
    return composed


def _option_of(path: str, parents: Mapping[str, str]) -> str:
    """The file of the option that included the file at ``path``."""
    while parents[path] in parents:
        path = parents[path]
    return path


def checked_group(config: DictConfig, group: str) -> None:
    """Convert the keys of ``group`` to their constructor's types and fill in its defaults.

    Raises UserError naming the key if it is unknown, missing, of the wrong type, or does not name a class.
    """
    kind = GROUPS[group]
    values: dict[str, Any] = OmegaConf.to_container(config[group], resolve=True)  # type: ignore[assignment]
    if kind.several and not (kind.or_one and _is_part(values)):
        parts = {name: part for name, part in values.items() if part is not None}
        for name, part in parts.items():
            if not _is_part(part):
                raise UserError(f"{group}.{name}={part} is not a part: {_meant_in(parts, group, name)}")
        done: Any = {name: _checked_part(part, f"{group}.{name}", kind) for name, part in parts.items()}
    else:
        done = _checked_part(values, group, kind)
    with open_dict(config):
        config[group] = OmegaConf.create(done, flags={"struct": False, "allow_objects": True})


def _is_part(values: Any) -> bool:
    return isinstance(values, Mapping) and "_target_" in values


def _meant_in(parts: Mapping[str, Any], group: str, name: str) -> str:
    """What to write instead of ``group.name``, which is not one of the group's ``parts``."""
    if isinstance(parts[name], Mapping):
        return (
            f"choose the option of {group} that has it too, as in {group}=[ONE,ANOTHER], or give {group}.{name}=null."
        )
    keys: dict[str, str] = {}
    for other, part in parts.items():
        for key in arguments_of(imported(part["_target_"], f"{group}.{other}")) if _is_part(part) else ():
            keys.setdefault(key, f"{group}.{other}.{key}")
    close = get_close_matches(name, keys, 1)
    if close:
        return f"did you mean {keys[close[0]]}?"
    return f"write {group}=NAME, or {group}.{name}._target_=package.module.Class."


def _checked_part(values: Any, where: str, kind: Group) -> dict[str, Any]:
    if not _is_part(values):
        raise UserError(f"{where}={values} is not a part: write {where}._target_=package.module.Class.")
    target = imported(values["_target_"], where)
    optional = getattr(target, "size_key", None)  # of a conditioning: left to the data set unless it is set
    own = {name: value for name, value in _own(values, kind).items() if value is not None or name != optional}
    given = [name for name in kind.given if not (kind.several and not kind.or_one and name in own)]
    given += [optional] if optional and optional not in own else []
    beside = {
        name: checked(values.get(name, argument.default), argument.hint, f"{where}.{name}")
        for name, argument in kind.beside().items()
    }
    return {"_target_": values["_target_"], **checked_arguments(target, own, given, f"{where}."), **beside}


def imported(target: Any, where: str) -> Any:
    """The class or function of the dotted name ``target``; UserError, naming the group ``where``, if there is none."""
    module, _, name = str(target).rpartition(".")
    try:
        found = getattr(import_module(module), name, None)
    except (ModuleNotFoundError, ValueError) as error:
        # If the module exists but its own imports fail, that is a bug with a traceback.
        if isinstance(error, ModuleNotFoundError) and not f"{module}.".startswith(f"{error.name}."):
            raise
        raise UserError(
            f"{where}._target_={target} cannot be imported ({error}): write package.module.Class, of a package that is "
            "installed, in the working directory or beside --config-dir."
        ) from error
    if not callable(found):
        raise UserError(f"{where}._target_={target} is not a class or a function: write package.module.Class.")
    return found


def trusted_packages(config: DictConfig) -> tuple[str, ...]:
    """The packages from which a checkpoint may name parts: ``trust``, and those that the configuration itself uses."""
    named = [part.get("_target_") for group in GROUPS for part in _parts_in(config[group], group)]
    return (*config.trust, *(str(target).partition(".")[0] for target in named if target))


def _parts_in(values: Any, group: str) -> list[Mapping[str, Any]]:
    """The mappings in a composed ``group`` that may be parts."""
    kind = GROUPS[group]
    parts = values.values() if kind.several and not (kind.or_one and _is_part(values)) else [values]
    return [part for part in parts if isinstance(part, Mapping)]


def target_of(config: DictConfig, where: str) -> Any:
    """The class of a group, or of one of its parts, as in ``conditioning.class``."""
    return imported(OmegaConf.select(config, where)["_target_"], where)


def own_arguments(config: DictConfig, where: str) -> dict[str, Any]:
    """The constructor's arguments among the keys of a group or one of its parts, after `checked_group`."""
    return _own(OmegaConf.to_container(OmegaConf.select(config, where)), GROUPS[where.partition(".")[0]])


def _own(values: Any, kind: Group) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in (*TARGET, *kind.beside())}


def instantiated(config: DictConfig, where: str, /, **given: Any) -> Any:
    """Construct the part of a group, or one of several as in ``logger.csv``, with those of ``given`` that it takes.

    Raises UserError if the constructor raises ValueError or TypeError.
    """
    from hydra.utils import instantiate

    target, arguments = target_of(config, where), own_arguments(config, where)
    known = arguments_of(target)
    taken = {name: value for name, value in given.items() if name in known and name not in arguments}
    try:
        # Arguments may be parts themselves.
        return target(**taken, **instantiate(arguments, _convert_="all"))
    except ModuleNotFoundError as error:
        told = " ".join(str(error).split()).rstrip(".")
        raise UserError(f"{where} needs a missing package ({told}): install it, or leave {where} out.") from error
    except refusals_of_constructors() as error:
        raise refusal(error, target, arguments, f"{where}.") from error


def partially(config: DictConfig, group: str) -> Callable[..., Any]:
    """The constructor of ``group`` with its own arguments, as a ``functools.partial``.

    Calling it raises UserError if the constructor raises ValueError or TypeError.
    """
    from hydra.utils import instantiate

    made = _Constructor(target_of(config, group), **instantiate(own_arguments(config, group), _convert_="all"))
    made.prefix = f"{group}."
    return made


class _Constructor(partial):
    prefix: str

    def __call__(self, /, *arguments: Any, **given: Any) -> Any:
        try:
            return super().__call__(*arguments, **given)
        except refusals_of_constructors() as error:
            raise refusal(error, self.func, self.keywords, self.prefix) from error


def parts_of(config: DictConfig, group: str) -> dict[str, dict[str, Any]]:
    """The parts of ``group`` as plain containers, keyed as in ``logger.csv`` or ``data``."""
    kind = GROUPS[group]
    values: dict[str, Any] = OmegaConf.to_container(config[group])  # type: ignore[assignment]
    if kind.several and not (kind.or_one and _is_part(values)):
        return {f"{group}.{name}": part for name, part in values.items()}
    return {group: values}


def bound_parts(config: DictConfig, group: str) -> Iterator[tuple[str, partial[Any]]]:
    """Name and constructor for each part of a group, bound to its own arguments."""
    from hydra.utils import instantiate

    for where, values in parts_of(config, group).items():
        arguments = instantiate(_own(values, GROUPS[group]), _convert_="all")
        yield where.removeprefix(f"{group}."), partial(imported(values["_target_"], where), **arguments)


def instantiated_parts(config: DictConfig, group: str, /, **given: Any) -> Iterator[tuple[str, Any]]:
    """Name and part for each part of a group, in order."""
    for where in parts_of(config, group):
        yield where.removeprefix(f"{group}."), instantiated(config, where, **given)


def refusals_of_constructors() -> tuple[type[Exception], ...]:
    """What constructors raise for wrong arguments; Lightning's have their own exception."""
    lightning = sys.modules.get("lightning_fabric.utilities.exceptions")
    return (UserError, ValueError, TypeError, *([] if lightning is None else [lightning.MisconfigurationException]))
